"""Nothing seeds the random numbers that the run depends on."""

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import called, first_call

SOURCE = "import torch\n\nmodel = Net()\n"
ROOT = {"cls": "Net", "parameters": [{"name": "w", "requires_grad": True}]}


def _parts(seeded: bool) -> dict:
    seed = {"kind": "seed", "step": 0, "n": 1, "library": "torch", "seed": 0, "site": {"file": "t.py", "line": 2}}
    steps = [{"step": s, "loss": 1.0} for s in range(12)]
    info = {"origin": "live", "integrity": {"steps_seen": 12, "finished": True}}
    return {"info": info, "metrics": steps, "events": [seed] * seeded, "model": {"roots": [ROOT]}, "source": {"t.py": SOURCE}}


@rule(
    code="REPRO301",
    name="repro-seed-missing",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"run", "model", "metrics.loss"},
    sources={"least": "our calibration: ten optimizer steps, below which a script is a trial and no training"},
    fires=Example(**_parts(False)),
    quiet=Example(**_parts(True)),
)
def repro_seed_missing(case: Case, *, least: int = 10) -> Iterator[Said]:
    """No seed is set: initial weights, order, dropout and augmentation differ from run to run, and no result can be repeated.

    Whether a change helped can't be told from luck then. Seed torch, and numpy and random where they are used, once at the start
    (`accelerate.utils.set_seed` and Lightning's `seed_everything` do all of them). Studies over several seeds set one in each run
    as well. Seeds that a library sets on the script's behalf count.
    """
    trained = [p for root in case.model.get("roots", []) for p in root.get("parameters", []) if p.get("requires_grad")]
    if not trained or case.steps < least:
        yield Skip(f"fewer than {least} optimizer steps of a model were made", "")
        return
    seeded = {str(event.get("library")) for event in case.events("seed")}
    if "torch" in seeded or _default_generator(case) or _restored(case):
        partial = _unseeded(case, seeded)
        if partial is None:
            yield Clear(f"seeded: {', '.join(sorted(seeded)) or 'by the random states of a checkpoint'}")
            return
        library, site = partial
        yield Finding(
            title=f"torch is seeded and {library} is not, although the script draws from its global generator",
            proof=Proof.SOURCE,
            severity=Severity.INFO,
            evidence=(Evidence("seeded", ", ".join(sorted(seeded)), f"also {library}", "events.jsonl"),),
            location=Location.of(site),
            fix=Fix(f"Seed {library} beside torch, or draw from a generator of your own."),
        )
        return
    classes = {str(root.get("cls")) for root in case.model.get("roots", [])}
    yield Finding(
        title="no random generator of torch is seeded: initial weights, order and dropout are different in every run",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("calls that seed torch", 0, "1", "events.jsonl"),),
        location=Location.of(_begin(case) or first_call(case, *classes)),
        onset_step=0,
        fix=Fix(
            "Call torch.manual_seed(0) before the model and the data loaders are built, and seed numpy and random beside it."
        ),
    )


def _begin(case: Case) -> dict | None:
    """The last import of a script that trains at module level: it draws from there on, and a seed belongs right below."""
    sites = [o["site"] for o in case.model.get("optimizers", []) if o.get("site")]
    if not sites or sites[0].get("function") != "<module>" or sites[0]["file"] not in case.trees:
        return None
    body = case.trees[sites[0]["file"]].body
    lines = [node.end_lineno or node.lineno for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
    return {"file": sites[0]["file"], "line": max(lines), "function": "<module>"} if lines else None


def _restored(case: Case) -> bool:
    """Whether random states were put back from a file; libraries put back what they themselves have set aside."""
    kept = any("rng" in (event.get("holds") or {}).values() for event in case.events("checkpoint", name="load"))
    return kept and bool(case.events("checkpoint", name="load_rng"))


def _default_generator(case: Case) -> bool:
    """Whether the script seeds torch's generator as an object, which no hook sees."""
    return first_call(case, "manual_seed", where=lambda node: "default_generator" in ast.unparse(node.func)) is not None


DRAWS = {
    "random": {"shuffle", "random", "randint", "sample", "choice", "choices", "uniform", "gauss"},
    "numpy": {"shuffle", "permutation", "rand", "randn", "randint", "random", "choice", "normal", "uniform"},
}


def _unseeded(case: Case, seeded: set[str]) -> tuple[str, dict] | None:
    """A library whose global generator the script draws from by name and that nothing seeded."""
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            holder = ast.unparse(node.func.value)
            library = {"random": "random", "np.random": "numpy", "numpy.random": "numpy"}.get(holder)
            if library and library not in seeded and called(node) in DRAWS[library] and _imports(tree, holder.split(".")[0]):
                return library, {"file": file, "line": node.lineno}
    return None


def _imports(tree: ast.Module, name: str) -> bool:
    """Whether `name` is the module: a generator may be called `random` as well."""
    return any(isinstance(n, ast.Import) and any((a.asname or a.name) == name for a in n.names) for n in ast.walk(tree))

"""Data-loader workers draw the same random numbers."""

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import Site, class_named, first_call
from cognate.rules.training import where

# Where a data set or a transform is asked for a sample, in the worker.
ASKED = ("__getitem__", "__getitems__", "__call__", "forward")

_SOURCE = """
class Noisy(Dataset):
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def __getitem__(self, i):
        {renew}return self.x[i] + self.rng.normal()
"""


def _parts(renew: str) -> dict:
    loader = {"kind": "loader", "object": "loader#0", "workers": 2, "dataset": "Noisy", "site": {"file": "t.py", "line": 20}}
    carried = {"rng": {"cls": "Noisy", "attribute": "rng", "kind": "numpy Generator", "state": 7}}
    call = {"kind": "call", "name": "loader_iter", "object": "loader#0", "generators": carried}
    source = {"t.py": _SOURCE.format(renew=renew)}
    return {"events": [loader, *(call | {"step": 9 * n, "number": n} for n in range(3))], "source": source}


@rule(
    code="DATA122",
    name="data-worker-rng-identical",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.loader"},
    explains={"eval-overfit", "data-iterable-worker-duplication"},
    fires=Example(**_parts("")),
    quiet=Example(**_parts("self.rng = np.random.default_rng(torch.initial_seed() + i); ")),
)  # fmt: skip
def data_worker_rng_identical(case: Case) -> Iterator[Said]:
    """All data-loader workers draw the same random numbers: the data set carries a generator, and each worker gets a copy of it.

    The augmentation of one worker's samples is that of the others', and begins anew with each epoch, because workers are copied
    from the same state again. torch seeds its own generator, `random` and `numpy.random` in each worker, but no generator object
    of the script's. Usual places: `self.rng = np.random.default_rng(0)` in a Dataset's constructor, or in a transform's.
    """
    loaders = [e for e in case.events("loader") if e.get("workers", 0) >= 2]
    if not loaders:
        yield Skip("no DataLoader has two or more workers", "")
        return
    seen = "no generator object that a worker would copy is drawn from"
    for loader in loaders:
        if loader.get("iterable") or loader.get("worker_init"):
            seen = "workers seed themselves (worker_init_fn), or share out a stream"
            continue
        passes = [c for c in case.events("call", name="loader_iter", object=loader["object"]) if c.get("generators")]
        same, full = _equal_first_batches(case, loader)
        for path, carried in (passes[0]["generators"] if passes else {}).items():
            states = [c["generators"].get(path, {}).get("state") for c in passes]
            place = _drawn(case, carried)
            if place is None or len(set(states)) > 1:
                continue
            yield _finding(loader, f"{loader['dataset']}.{path}", carried["kind"], place, len(states), (same, full))
            return
        if full and same == full:
            yield _finding(loader, str(loader["dataset"]), "random numbers", loader.get("site"), 0, (same, full))
            return
    yield Clear(seen)


def _equal_first_batches(case: Case, loader: dict) -> tuple[int, int]:
    """Passes whose first batches, one of each worker, are equal, and passes that were seen so far."""
    passes: dict[int, list[int]] = {}
    for batch in case.events("batch", object=loader["object"]):
        if batch.get("tensors"):
            passes.setdefault(batch["number"], []).append(batch["tensors"][0].get("hash"))
    full = [hashes for hashes in passes.values() if len(hashes) > loader["workers"]]
    # A data set whose batches are all equal says nothing.
    varied = [h for h in full if len(set(h)) > 1]
    return sum(len(set(hashes[: loader["workers"]])) == 1 for hashes in varied), len(varied)


def _drawn(case: Case, carried: dict) -> Site | None:
    """Where the generator is made, if the class that holds it draws from it when asked for a sample and never renews it."""
    found = class_named(case, carried["cls"])
    if found is None:
        return None
    file, definition = found
    methods = {n.name: n for n in definition.body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))}
    waiting, reached = [m for m in ASKED if m in methods], set()
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [n.attr for n in ast.walk(methods[name]) if isinstance(n, ast.Attribute) and n.attr in methods]
    name, made, drawn = carried["attribute"], None, False
    for method in methods.values():
        for node in ast.walk(method):
            if isinstance(node, (ast.Attribute, ast.Name)) and (getattr(node, "attr", None) or getattr(node, "id", None)) == name:
                stored = isinstance(node.ctx, ast.Store)
                if stored and method.name != "__init__":
                    return None
                if stored:
                    made = {"file": file, "line": node.lineno, "function": method.name}
                drawn = drawn or method.name in reached
    if any(isinstance(n, ast.Call) and _reseeds(n, name) for m in reached for n in ast.walk(methods[m])):
        return None
    default = first_call(case, "default_rng", "RandomState", "Random", "Generator") or {"file": file, "line": definition.lineno}
    return (made or default) if drawn else None


def _reseeds(call: ast.Call, name: str) -> bool:
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in ("seed", "manual_seed", "setstate", "set_state"):
        return False
    return (getattr(function.value, "attr", None) or getattr(function.value, "id", None)) == name


def _finding(loader: dict, owner: str, kind: str, place: Site | None, passes: int, batches: tuple[int, int]) -> Finding:
    workers, (same, full) = loader["workers"], batches
    return Finding(
        title=f"the {workers} workers of the DataLoader at {where(loader.get('site'))} draw the same random numbers"
        + (f": each copies {owner}, a {kind} that is never seeded by worker" if passes else ": their first batches are equal"),
        proof=Proof.MEASUREMENT,
        evidence=(
            *(
                (Evidence(f"state of {owner} when a pass begins, {passes} passes", "the same", "another", "events.jsonl"),)
                if passes
                else ()
            ),
            *((Evidence("passes whose first batches, one a worker, are equal", f"{same} of {full}", "0"),) if full else ()),
            Evidence("worker_init_fn", "none"),
        ),
        location=Location.of(place),
        onset_step=0,
        fix=Fix(
            "Make the generator in the worker: seed it with torch.initial_seed() at the first sample, or in worker_init_fn; "
            "or draw from torch's own generator, which is seeded for each worker and epoch."
        ),
    )

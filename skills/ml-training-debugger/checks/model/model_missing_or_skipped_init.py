"""Weights that were never initialised."""

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.layers import WEIGHTED
from cognate.rules.source import called, first_call
from cognate.rules.training import Row, modules, parameters, short, where

RAW = {"empty", "empty_like", "Tensor", "FloatTensor", "new_empty", "empty_strided"}
INITIALISERS = ("init_w", "init_p", "reset_param", "initiali")
SOURCE = "class Mix(nn.Module):\n    def __init__(self, i, o):\n        self.weight = nn.Parameter(torch.{}(o, i))\n"


def _case(raw: bool) -> dict:
    start = {"std": 0.0 if raw else 0.3, "mean": 0.0, "most": 0.0 if raw else 0.9}
    row = {
        "name": "mix.weight",
        "shape": [16, 8],
        "requires_grad": True,
        "windows": 9,
        "optimizer": "optimizer#0",
        "start": start,
    }
    row |= {"grad": "zero" if raw else "present", "constant": raw, "seen_at": 0}
    modules = [{"name": "mix", "cls": "Mix"}]
    model = {"roots": [{"cls": "Net", "modules": modules, "parameters": [row, row | {"name": "mix.second"}]}]}
    return {"model": model, "source": {"model.py": SOURCE.format("empty" if raw else "randn")}}


@rule(
    code="MODEL127",
    name="model-missing-or-skipped-init",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"model"},
    explains={
        "grad-none-or-zero-param", "model-symmetric-init", "model-dead-relu", "grad-vanishing", "model-init-variance",
        "loss-not-decreasing", "loss-plateau", "loss-nonfinite", "opt-lr-too-low", "data-input-label-misaligned",
        "grad-graph-broken",
    },
    sources={
        "least": "known trap, step-0 artefacts: LoRA's B and residual gates are zero at first and have moved after two steps",
        "absurd": "our calibration: none in use reaches a thousand; memory that was never written does, or is all zero",
    },
    fires=Example(**_case(True)),
    quiet=Example(**_case(False)),
)  # fmt: skip
def model_missing_or_skipped_init(case: Case, *, least: int = 3, absurd: float = 1e3) -> Iterator[Said]:
    """Initialisation was skipped: weights hold whatever the constructor or the memory left, and no function gave them values.

    Two ways to see it: both factors of a product are zero, so that neither ever receives a gradient (LoRA needs one of the two to
    be random), or a parameter was made of `torch.empty` and nothing in its class writes to it (a `reset_parameters` that is
    defined and never called). One zero factor, norm scales, biases and zero-initialised residual outputs are healthy: they move.
    """
    trained = [p for p in parameters(case) if p.get("requires_grad") and p.get("optimizer") and len(p.get("shape", [])) >= 2]
    judged = [p for p in trained if p.get("start") and p.get("windows", 0) >= least]
    if not judged:
        yield Skip("no trained weight was followed over three steps", "")
        return
    stuck = [
        p for p in judged if p["start"].get("most") == 0 and p.get("grad") == "zero" and p.get("constant") and not _plain(case, p)
    ]
    raw = _raw(case, [p for p in judged if _unwritten(p, absurd)])
    if raw:
        parameter, site = raw[0]
        yield _finding(case, [p for p, _ in raw], site, _state(parameter))
    elif len(stuck) >= 2:
        yield _finding(
            case,
            stuck,
            _zeroing(case, stuck),
            "zeros, as do the factors that they are multiplied with, so neither gets a gradient",
        )
    else:
        yield Clear(f"{len(judged)} weights had values of their own when they were first seen, or moved later")


def _finding(case: Case, guilty: list[Row], site: dict | None, state: str) -> Finding:
    names = [p["name"] for p in guilty]
    idle = _uncalled(case)
    skipped = f"; {idle[0]['symbol']} at {where(idle[0])} is never called" if idle else ""
    return Finding(
        title=f"{short(names)} were never initialised: they hold {state}{skipped}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("weights without initialisation", names[:12], "none", "model.json"),
            Evidence("largest magnitude when first seen", [p["start"].get("most") for p in guilty[:4]], "small and random"),
            Evidence("gradient in all windows looked at", sorted({str(p.get("grad")) for p in guilty})),
        ),
        location=Location.of(site, names[0].rpartition(".")[0] or None),
        onset_step=0,
        fix=Fix(
            "Give each weight random values when it is made (nn.init.kaiming_uniform_, normal_ with a small deviation), call the "
            "initialiser from the constructor, and leave at most one factor of a product at zero."
        ),
    )


def _plain(case: Case, parameter: Row) -> bool:
    """A layer's weight in a network that is trained whole: zeros there are a constant initialisation, made on purpose."""
    cls = str(modules(case).get(parameter["name"].rpartition(".")[0], {}).get("cls", ""))
    return cls.startswith(WEIGHTED) and all(p.get("requires_grad") for p in parameters(case))


def _unwritten(parameter: Row, absurd: float) -> bool:
    """Memory as it came: numbers that nobody draws, not finite, or zeros that training never parted."""
    most = parameter["start"].get("most")
    if most == 0:
        return bool(parameter.get("constant") or parameter.get("clones"))
    return most is None or most > absurd or most < 1e-20


def _state(parameter: Row) -> str:
    most = parameter["start"].get("most")
    held = "all zero" if most == 0 else f"with magnitudes up to {most:.3g}" if most else "not finite"
    return f"memory as it came, {held}"


def _raw(case: Case, suspects: list[Row]) -> list[tuple[Row, dict]]:
    """Suspects whose class makes them of raw memory; zeros may have been written on purpose, other such numbers were not."""
    made, written = _raw_attributes(case)
    found = []
    for parameter in suspects:
        attribute = parameter["name"].rpartition(".")[2]
        if attribute in made and not (parameter["start"].get("most") == 0 and attribute in written):
            found.append((parameter, made[attribute]))
    return found


def _raw_attributes(case: Case) -> tuple[dict[str, dict], set[str]]:
    """Attributes that hold a Parameter of raw memory, with the line, and those that a function that is called writes to."""
    idle = {entry["symbol"] for entry in _uncalled(case)}
    found: dict[str, dict] = {}
    written: set[str] = set()
    for file, tree in case.trees.items():
        skipped = [f for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) and f.name in idle]
        inside = {id(part) for function in skipped for part in ast.walk(function)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and called(node.value) == "Parameter":
                inner = node.value.args[0] if node.value.args else None
                if isinstance(inner, ast.Call) and called(inner) in RAW:
                    found |= {t.attr: {"file": file, "line": node.lineno} for t in node.targets if isinstance(t, ast.Attribute)}
            elif isinstance(node, ast.Call) and called(node).endswith("_") and id(node) not in inside:
                written |= {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    return found, written


def _zeroing(case: Case, stuck: list[Row]) -> dict | None:
    """The line that makes the first factor zero: it names the attribute, and a function of zeros."""
    for parameter in stuck:
        attribute = parameter["name"].rpartition(".")[2]
        for file, tree in case.trees.items():
            for node in ast.walk(tree):
                if not isinstance(node, ast.Call) or called(node) not in ("zeros_", "zero_", "fill_", "constant_"):
                    continue
                if any(getattr(part, "attr", "") == attribute for part in ast.walk(node)):
                    return {"file": file, "line": node.lineno}
    return first_call(case, "zeros_", "zeros", "zero_")


def _uncalled(case: Case) -> list[dict]:
    """Functions that initialise and that nothing in the sources names again."""
    defined: list[dict] = []
    named: set[str] = set()
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and any(word in node.name for word in INITIALISERS):
                defined.append({"symbol": node.name, "file": file, "line": node.lineno})
            elif isinstance(node, ast.Attribute):
                named.add(node.attr)
            elif isinstance(node, ast.Name):
                named.add(node.id)
    return [entry for entry in defined if entry["symbol"] not in named]

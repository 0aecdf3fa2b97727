"""Evaluation leaves a trace in the model."""

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.source import class_named
from cognate.rules.training import modules, number, short


def _probe(after: float, moved: list[str]) -> dict:
    result = {
        "repeat": 0.0 if not moved else after,
        "after_other_batch": after,
        "scale": 1.0,
        "state_moved": moved,
        "stateful_modules": [],
    }
    return {"probe": "determinism", "status": "ok", "step": 2, "module": "Net", "result": result}


@rule(
    code="MODEL104",
    name="model-state-carried",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"probe.determinism"},
    explains={"eval-nondeterministic", "eval-overfit", "loss-not-decreasing"},
    core=True,
    sources={
        "delta": "our calibration: repeated forwards of stateless models agree to the last bit; 1e-5 of the scale for "
        "fused kernels"
    },
    fires=Example(probes=[_probe(0.3, ["memory.state"])]),
    quiet=Example(probes=[_probe(0.0, [])]),
)
def model_state_carried(case: Case, *, delta: float = 1e-5) -> Iterator[Said]:
    """State is carried from batch to batch: the same input gives another output after another batch was seen, even in eval mode.

    A memory or hidden state that lives on the module and is updated by every forward makes results depend on what came before, on
    the neighbours in the batch, and on the order of evaluation. A buffer that changes without any effect on outputs is left
    alone.
    """
    found = case.probe("determinism")
    wrong = [
        p for p in found
        if p["result"]["state_moved"]
        and (p["result"]["after_other_batch"] or 0.0) > delta * max(p["result"].get("scale") or 1.0, 1e-3)
    ]  # fmt: skip
    if not wrong:
        yield Clear(
            f"after another batch the same input gives the same output ({number(found[-1]['result']['after_other_batch'])} apart)"
        )
        return
    result = wrong[0]["result"]
    names = result["state_moved"]
    holder = names[0].rpartition(".")[0]
    cls = modules(case).get(holder, {}).get("cls", wrong[0].get("module", ""))
    place = class_named(case, cls)
    site = {"file": place[0], "line": _assignment(place[1], names[0].rpartition(".")[2]), "function": cls} if place else None
    yield Finding(
        title=f"state is carried across batches: a forward in eval mode updates {short(names)}, so outputs depend on the batches "
        "seen before",
        proof=Proof.EXPERIMENT,
        evidence=(
            Evidence(
                "change of the same input's output after another batch",
                result["after_other_batch"],
                "0",
                f"probe, step {wrong[0]['step']}",
            ),
            Evidence("state that a forward in evaluation mode changed", short(names, 6), "none"),
        ),
        location=Location.of(site, holder or None),
        onset_step=0,
        fix=Fix("Start the state from zero in each forward, or take and return it explicitly; never update it in evaluation."),
    )


def _assignment(cls: ast.ClassDef, attribute: str) -> int:
    """The last line in the class that assigns the attribute or writes into it (the first one is its initial value)."""
    lines = [cls.lineno]
    for node in ast.walk(cls):
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                inner = target.value if isinstance(target, ast.Subscript) else target
                if isinstance(inner, ast.Attribute) and inner.attr == attribute:
                    lines.append(node.lineno)
        in_place = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.endswith("_")
        parts = ast.walk(node.func.value) if in_place else ()  # type: ignore[attr-defined]
        if any(isinstance(part, ast.Attribute) and part.attr == attribute for part in parts):
            lines.append(node.lineno)  # type: ignore[attr-defined]
    return max(lines)

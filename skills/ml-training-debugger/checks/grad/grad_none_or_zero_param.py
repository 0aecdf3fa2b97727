"""Trainable parameters never receive a gradient."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.flow import flows
from cognate.rules.training import modules, parameters, short


def _model(grad: str) -> dict:
    base = {"requires_grad": True, "windows": 8, "optimizer": "optimizer#0", "shape": [4, 4]}
    rows = [base | {"name": "a.weight", "grad": "present"}, base | {"name": "b.weight", "grad": grad}]
    return {"roots": [{"cls": "Net", "modules": [{"name": "b", "cls": "Linear", "used": True}], "parameters": rows}]}


@rule(
    code="GRAD103",
    name="grad-none-or-zero-param",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"model"},
    explains={"loss-not-decreasing"},
    core=True,
    sources={
        "least": "known trap, step-0 artefacts: re-check after two effective steps, zero-initialised neighbours move by then"
    },
    fires=Example(model=_model("none")),
    quiet=Example(model=_model("present")),
)
def grad_none_or_zero_param(case: Case, *, least: int = 3) -> Iterator[Said]:
    """A module that the optimizer owns never receives a gradient: its output does not reach the loss.

    The parameters stay at their initial values while the optimizer, the parameter count and the report all say that they
    are trained. Usual places: a head whose loss is never added, an output that is computed and then not used, a branch that
    the forward skips.
    """
    owned = [p for p in parameters(case) if p.get("requires_grad") and p.get("optimizer") and p.get("windows", 0) >= least]
    dead = [p for p in owned if p.get("grad") == "none"]
    if not owned:
        return
    if not dead:
        yield Clear(f"all {len(owned)} trainable tensors that an optimizer owns received a gradient")
        return
    known = modules(case)
    names = [p["name"] for p in dead]
    holder = names[0].rpartition(".")[0]
    used = [n for n in names if known.get(n.rpartition(".")[0], {}).get("used")]
    unused = len(used) == 0
    if unused and len(dead) < len(owned):
        title = f"{short(names)} never received a gradient: the forward never calls {holder or 'their module'}"
    elif len(dead) == len(owned):
        title = "no trainable parameter ever received a gradient: the loss does not depend on the model"
    else:
        title = f"{short(names)} never received a gradient: what {holder or 'their module'} computes does not reach the loss"
    yield Finding(
        title=title,
        proof=Proof.MEASUREMENT,
        # A module that is simply not called is often left over on purpose (an unused pooler); it harms nothing by itself.
        severity=Severity.INFO if unused and len(dead) < len(owned) else None,
        evidence=(
            Evidence("trainable tensors in the optimizer with .grad None at every step looked at", len(dead), "0", "model.json"),
            Evidence("trainable tensors in the optimizer", len(owned)),
        ),
        location=_place(case, used[0], holder) if used else Location(module=holder or None, symbol=holder or None),
        onset_step=0,
        fix=Fix("Connect the module's output to the loss, or take it out of the model and the optimizer."),
    )


def _place(case: Case, parameter: str, holder: str) -> Location:
    """The line that last computed with the parameter: what it made there goes nowhere."""
    for graph in flows(case):
        uses = graph.using(parameter)
        cut = graph.cuts(parameter)
        if uses:
            # A way to the loss that is not differentiable ends where it is cut, one that misses it at its last operation.
            reached = bool(cut) and graph.reaches_root(parameter, differentiable=False)
            ends = cut[:1] if reached else [node for use in uses for node in graph.downstream(use)]
            last = max(ends, key=lambda node: int(node["i"]))
            site = last.get("site") or {}
            return Location(site.get("file"), site.get("line"), holder or site.get("function"), holder or None)
    return Location(module=holder or None, symbol=holder or None)

"""The recursion's later steps do nothing."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import flows
from cognate.rules.recursion import example_recursion, uses
from cognate.rules.training import short, where


@rule(
    code="ACT124",
    name="act-recursion-noop",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"trace"},
    explains={"loss-not-decreasing"},
    sources={
        "still": "taxonomy, act-recursion-noop: cosine above 0.999, a change of 0.04; a hundredth of it is no step at all",
    },
    fires=Example(trace=example_recursion([0.7] * 5, [0.0] * 4)),
    quiet=Example(trace=example_recursion([0.7] * 5, [0.5, 0.2, 0.08, 0.03])),
)
def act_recursion_noop(case: Case, *, still: float = 4e-4) -> Iterator[Said]:
    """The recursion does nothing after its first step: every later step gives out what the first one did.

    The depth costs time and changes no prediction. Usual reasons: the new state is not handed on (each step starts from the input
    again), a gate that is closed at the start, an update multiplied by zero. A recursion that converges moves less and less; one
    that never moved is meant. A layer that reads the same input at each step, beside a state that moves, is left alone.
    """
    looked, worst = False, None
    for graph in flows(case):
        found = {name: nodes for name, nodes in uses(graph).items() if _in_one_forward(case, name)}
        # A part that was not compared with itself (other shapes) counts as one that moves.
        moved = {name: [node.get("moved", 1.0) for node in nodes[1:]] for name, nodes in found.items()}
        if not moved:
            continue
        looked = True
        if any(step > still for steps in moved.values() for step in steps):
            yield Clear("the steps of the recursion change what they give out")
            return
        worst = worst or (found, moved)
    if not looked or worst is None:
        yield Skip("no part of the model ran three times or more in a traced forward", "")
        return
    found, moved = worst
    name = max(found, key=lambda n: len(found[n]))
    node = found[name][1]
    yield Finding(
        title=f"the {len(found[name])} steps of the recursion at {where(node.get('site'))} all give the same: after the first "
        "one nothing moves",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("relative change from step to step", max(max(steps) for steps in moved.values()), f"> {still}", "trace"),
            Evidence("parameters that are used at every step", short(sorted(found), 4)),
        ),
        location=Location.of(node.get("site"), node.get("m")),
        onset_step=0,
        fix=Fix("Hand the new state on to the next step, and open the gate (bias, scale) that multiplies its update."),
    )


def _in_one_forward(case: Case, parameter: str) -> bool:
    """Whether the parameter's module ran again within one forward of the model; three forwards of it are no recursion."""
    forwards = [e["repeats"] for e in case.events("forward", grad=True) if "repeats" in e]
    module = parameter.rpartition(".")[0]
    return not forwards or any(module == name or module.endswith(f".{name}") for repeats in forwards for name in repeats)

"""Prediction and target have different shapes and are broadcast against each other."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import flows
from cognate.rules.training import commonest_site, train_losses, where

ELEMENTWISE = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")


def _calls(target: list[int]) -> list[dict]:
    base = {"kind": "loss_call", "fn": "mse_loss", "grad": True, "site": {"file": "t.py", "line": 40}}
    calls = [base | {"step": s, "input": {"shape": [64, 1]}, "target": {"shape": target}} for s in range(6)]
    return [*calls, {"kind": "call", "name": "step", "step": 0}]


def crossed(a: list[int], b: list[int]) -> bool:
    """Whether (N, 1) meets (N) or the like: broadcasting makes every prediction meet every target."""
    if a == b or not a or not b:
        return False
    small, large = sorted((a, b), key=len)
    return len(small) == 1 and len(large) == 2 and small[0] > 1 and large == [small[0], 1]


@rule(
    code="LOSS103",
    name="loss-shape-broadcast",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.call"},
    explains={"loss-not-decreasing", "data-input-label-misaligned"},
    core=True,
    fires=Example(events=_calls([64])),
    quiet=Example(events=_calls([64, 1])),
)
def loss_shape_broadcast(case: Case) -> Iterator[Said]:
    """Shapes (N, 1) and (N) are broadcast to N×N in the loss: every prediction is compared with every target.

    The best answer to all targets at once is their mean, so the model learns a constant. Usual place: a regression head of one
    unit whose output is not squeezed.
    """
    looked = train_losses(case, *ELEMENTWISE)
    wrong = [c for c in looked if crossed(c.get("input", {}).get("shape", []), c.get("target", {}).get("shape", []))]
    if wrong and len(wrong) >= 0.5 * len(looked):
        call = wrong[0]
        yield _finding(call["fn"], call["input"]["shape"], call["target"]["shape"], commonest_site(wrong), len(wrong))
        return
    for graph in flows(case):
        for node in graph.find(lambda n: n["op"] in ("sub", "rsub", "mul") and n.get("g", False)):
            shapes = node.get("shapes", [])
            if len(shapes) == 2 and crossed(*shapes) and node.get("shape") == [shapes[0][0], shapes[0][0]]:
                if node["op"] == "mul":  # an outer product is meant more often than not
                    continue
                yield _finding(f"`{node['op']}`", shapes[0], shapes[1], node.get("site"), 1)
                return
    if not looked and not case.trace:
        yield Skip("no elementwise loss was computed in training", "")
    else:
        yield Clear(
            f"{len(looked)} elementwise losses had equal shapes" if looked else "no two shapes met crosswise in the traced steps"
        )


def _finding(what: str, left: list[int], right: list[int], site: dict | None, count: int) -> Finding:
    n = left[0]
    return Finding(
        title=f"{what} at {where(site)} broadcasts {tuple(left)} against {tuple(right)} to ({n}, {n}): every prediction "
        f"meets every "
        "target, so the shape mismatch makes the model learn the mean",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("shapes of prediction and target", f"{tuple(left)} and {tuple(right)}", "equal shapes", "events.jsonl"),
            Evidence("calls seen", count),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix("Make the shapes equal: prediction.squeeze(-1), or target.unsqueeze(-1)."),
    )

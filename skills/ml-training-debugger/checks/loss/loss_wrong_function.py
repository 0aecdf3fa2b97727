"""The loss function does not fit its targets."""

import ast
from collections.abc import Iterator
from statistics import median

from cognate.case.curves import loss_series
from cognate.case.series import block_medians
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import called
from cognate.rules.training import commonest_site, number, share, train_losses, where

Row = dict
LOGITS = "binary_cross_entropy_with_logits"
SIGNED = ("soft_margin_loss", "hinge_embedding_loss")
SQUARED = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")


def _calls(classes: int) -> list[Row]:
    base = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "classes": classes, "site": {"file": "t.py", "line": 40}}
    return [base | {"step": s, "value": 0.0, "input": {"shape": [32, classes]}, "target": {"dtype": "int64"}} for s in range(12)]


@rule(
    code="LOSS120",
    name="loss-wrong-function",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.loss_call"},
    explains={
        "loss-diverging",
        "loss-nonfinite",
        "loss-not-decreasing",
        "grad-none-or-zero-param",
        "grad-vanishing",
        "opt-lr-too-low",
        "opt-lr-too-high",
        "opt-weights-diverge",
        "data-input-label-misaligned",
    },
    sources={
        "calls": "each is a property of every batch; five calls rule out one special batch",
        "unlearnt": "our calibration: a squared error above 70 % of the targets' variance tells next to nothing of the classes",
        "most": "our calibration: more than 100 whole numbers are counts or amounts, not classes",
    },
    fires=Example(events=_calls(1)),
    quiet=Example(events=_calls(2)),
)
def loss_wrong_function(case: Case, *, calls: int = 5, unlearnt: float = 0.7, most: int = 100) -> Iterator[Said]:
    """The loss function does not fit the targets: cross-entropy over one class, a distance between class numbers, and the like.

    Softmax over one class is 1 whatever the model says, so the loss is 0 and teaches nothing. A binary cross-entropy with targets
    outside 0 to 1, a margin loss with 0 in place of -1, or one whose two arguments are swapped has its optimum elsewhere. A
    squared error on class numbers or one-hot rows is reported only where it failed to learn them and the script picks classes.
    """
    looked = train_losses(case)
    if len(looked) < calls:
        yield Skip("fewer than five losses of torch were computed in training", "use torch.nn.functional losses or their modules")
        return
    for test in (_one_class, _outside, _unsigned, _swapped, _multi_hot):
        hits = [(call, found) for call in looked if (found := test(call))]
        mine = {call["fn"] for call, _ in hits}
        if len(hits) >= calls and share(call["fn"] not in mine or test(call) is not None for call in looked) >= 0.9:
            call, (said, expected) = hits[0]
            if test is _multi_hot and not _uses(case, "sigmoid"):
                continue
            yield _finding(call, said, expected, commonest_site(call for call, _ in hits), len(hits))
            return
    distance = _distance(case, looked, calls, unlearnt, most)
    yield distance or Clear(f"{len(looked)} training losses were given targets that they are made for")


def _finding(call: Row, said: str, expected: str, site: Row | None, count: int, severity: Severity | None = None) -> Finding:
    return Finding(
        title=f"{call['fn']} at {where(site)} is the wrong loss function for what it is given: {said}",
        proof=Proof.MEASUREMENT,
        severity=severity,
        evidence=(
            Evidence("training calls of this kind", count, "0", "events.jsonl"),
            Evidence("shape and range of the target", [call.get("target", {}).get(k) for k in ("shape", "min", "max")], expected),
            Evidence("value of the loss", number(call.get("value"))),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix(f"Choose the loss that fits: {expected}."),
    )


Found = tuple[str, str] | None


def _one_class(call: Row) -> Found:
    if call["fn"] != "cross_entropy" or call.get("classes") != 1 or call.get("value") not in (0.0, -0.0):
        return None
    return (
        "softmax over a single class is always 1, so the loss is 0 whatever the model says",
        "binary_cross_entropy_with_logits for one output, or an output for each class",
    )


def _outside(call: Row) -> Found:
    target = call.get("target", {})
    low, high = target.get("min"), target.get("max")
    if call["fn"] != LOGITS or low is None or high is None or (low >= -1e-4 and high <= 1 + 1e-4):
        return None
    return f"its targets run from {number(low)} to {number(high)}, and outside 0 to 1 it has no lower bound", (
        "targets of 0 and 1, cross_entropy for class numbers, or a squared error for amounts"
    )


def _unsigned(call: Row) -> Found:
    target = call.get("target", {})
    if call["fn"] not in SIGNED or target.get("min") != 0 or target.get("max") != 1:
        return None
    return "its targets are 0 and 1, and it expects -1 and 1: the samples of class 0 teach nothing", (
        "targets of -1 and 1, or binary_cross_entropy_with_logits"
    )


def _swapped(call: Row) -> Found:
    if call["fn"] not in (LOGITS, "binary_cross_entropy", "poisson_nll_loss") or call.get("input_requires_grad") is not False:
        return None
    return "its arguments are swapped: the gradient goes into the target and none into the input", "(prediction, target)"


def _multi_hot(call: Row) -> Found:
    target = call.get("target", {})
    if call["fn"] != "cross_entropy" or target.get("rows") != "multi_hot":
        return None
    return "a row of its targets has several ones, and softmax lets the labels of a sample compete", (
        "binary_cross_entropy_with_logits, one decision a label"
    )


def _distance(case: Case, looked: list[Row], calls: int, unlearnt: float, most: int) -> Finding | None:
    """A distance to class numbers or one-hot rows, late in the run still near what a constant would score."""
    mine = [c for c in looked if c["fn"] in SQUARED and _is_class(c.get("target", {}), most)]
    alone = len(mine) >= max(calls, 0.9 * len([c for c in looked if c.get("coefficient", 1.0)]))
    if not alone or case.steps < 30 or not (_uses(case, "argmax") or _uses(case, "round")) or not _compares(case):
        return None
    curve, spread = (
        loss_series(case),
        [c["target"].get("std") for c in mine if c["fn"] == "mse_loss" and c.get("reduction") == "mean"],
    )
    spread = [std for std in spread if std]
    if not curve or len(spread) < calls or None in curve.values:
        return None
    left = block_medians(curve.values, 10)[-1] / median(spread) ** 2
    if left < unlearnt or left > 2:  # far above, the loss is something else, or the run diverged
        return None
    kind = "one-hot rows" if mine[0]["target"].get("rows") == "one_hot" else "class numbers"
    said = f"the targets are {kind}, the script picks classes, and {left:.0%} of the variance is left"
    return _finding(
        mine[0], said, "cross_entropy on the scores of all classes", commonest_site(mine), len(mine), Severity.WARNING
    )


def _is_class(target: Row, most: int) -> bool:
    if target.get("rows") == "one_hot":
        return int((target.get("shape") or [0])[-1]) >= 3
    ids = "histogram" in target or target.get("whole")
    distinct = (target.get("histogram") or {}).get("distinct") or target.get("distinct") or 0
    return bool(ids and 3 <= distinct <= most and target.get("min") == 0)


def _uses(case: Case, name: str) -> bool:
    return any(isinstance(n, ast.Call) and called(n).lower() == name for tree in case.trees.values() for n in ast.walk(tree))


def _compares(case: Case) -> bool:
    """Whether something that was rounded or picked is compared for equality: an accuracy."""
    return any(
        isinstance(n, ast.Compare) and isinstance(n.ops[0], ast.Eq) and not isinstance(n.comparators[0], ast.Constant)
        for tree in case.trees.values()
        for n in ast.walk(tree)
    )

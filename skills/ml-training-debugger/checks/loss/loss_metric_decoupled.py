"""A reported metric has lost its connection to the loss."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import log

from cognate.case.curves import Curve, validation_curves, validation_metric_curves
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Severity, Skip, rule
from cognate.rules.inputs import loaded_place
from cognate.rules.training import where

_ACCURACY = re.compile(r"(^|[^a-z])acc(uracy)?([^a-z]|$)")
_OTHER = re.compile(r"seq|exact|top|balanced|sentence|word|probe|per")


def _example(accuracy: list[float]) -> Example:
    losses = [0.5, 0.3, 0.12, 0.08, 0.06, 0.05]
    lines = [f"epoch {n} val loss {a:.4f} val acc {b:.4f}" for n, (a, b) in enumerate(zip(losses, accuracy, strict=True))]
    prints = [{"kind": "print", "text": text, "step": 10 * n, "n": n} for n, text in enumerate(lines)]
    call = {"kind": "loss_call", "fn": "cross_entropy", "grad": False, "weighted": False, "target": {"shape": [64]}}
    return Example(events=[*prints, *[call | {"step": s, "n": 90 + s, "input": {"shape": [64, 5]}} for s in range(4)]])


@rule(
    code="LOSS126",
    name="loss-metric-decoupled",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    explains={"eval-validation-constant", "eval-early-stop-premature", "opt-lr-zero-or-dead-tail", "train-eval-gap"},
    sources={
        "passes": "our calibration: an evaluation that found nothing twice finds nothing",
        "margin": "cross-entropy: a sample whose answer is not the likeliest has p ≤ 1/2 and costs ln 2 or more, so the "
        "mean is at least (1 - accuracy) ln 2; a fifth is left for rounding and batches of unequal size",
        "points": "our calibration: three evaluations in a row are no rounding",
    },
    fires=_example([0.2, 0.21, 0.2, 0.22, 0.2, 0.21]),
    quiet=_example([0.8, 0.88, 0.95, 0.97, 0.98, 0.98]),
)
def loss_metric_decoupled(
    case: Case, *, passes: int = 2, margin: float = 0.8, points: int = 3
) -> Iterator[Finding | Clear | Skip]:
    """A metric is decoupled from the loss: it is computed over no sample, or it contradicts the loss of the same evaluation.

    An evaluation whose loader is empty returns its fallback, and schedules, early stopping and model selection act on that. An
    accuracy that a cross-entropy as low as reported rules out was computed on other predictions, labels or samples than the loss.
    """
    empty = _empty(case, passes)
    if empty is not None:
        yield empty
        return
    losses, metrics = validation_curves(case), [c for c in validation_metric_curves(case) if _is_accuracy(c)]
    if not losses and not case.events("loader"):
        yield Skip("neither a validation result nor a loader was seen", "evaluate during training")
        return
    if not losses or not metrics or not _one_answer_a_sample(case):
        yield Clear("no evaluation read from an empty loader")
        return
    for metric in metrics:
        for loss in losses:
            pairs = _pairs(loss, metric)
            half = pairs[len(pairs) // 2 :]
            wrong = [(value, share) for value, share in half if value < margin * (1 - share) * log(2)]
            if len(half) >= points and len(wrong) == len(half):
                yield _contradiction(loss, metric, wrong[-1], len(wrong))
                return
    yield Clear(f"{metrics[0].title} is one that {losses[0].title} allows")


def _empty(case: Case, passes: int) -> Finding | None:
    """A loader over an empty set that was asked for batches again and again and gave none."""
    for event in case.events("loader"):
        label = event.get("object")
        asked = case.calls.get(f"pass:{label}", 0)
        counted = any(name.startswith("batches:") for name in case.calls)
        if event.get("length") == 0 and asked >= passes and counted and not case.calls.get(f"batches:{label}"):
            calls = case.events("call", name="loader_iter", object=label)
            used = calls[0].get("site") if calls else event.get("site")
            return Finding(
                f"the evaluation at {where(used)} reads no sample: its loader is over an empty set, and what it reports "
                f"has nothing to do with the loss",
                Proof.MEASUREMENT,
                (
                    Evidence(
                        "passes over the loader, and batches that it gave", [asked, 0], "one or more a pass", "events.jsonl"
                    ),
                    Evidence("length of its data set", 0, "above 0"),
                ),
                severity=Severity.ERROR,
                location=Location.of(loaded_place(case, event) or event.get("site")),
                onset_step=int(event.get("step", 0)),
                fix=Fix("Give the evaluation samples: look at how the data are split, and let an empty evaluation raise."),
            )
    return None


def _is_accuracy(curve: Curve) -> bool:
    name = curve.name.lower()
    return bool(_ACCURACY.search(name)) and not _OTHER.search(name)


def _one_answer_a_sample(case: Case) -> bool:
    """Whether the evaluations compute a plain cross-entropy with one label a sample: then the bound holds."""
    calls = case.events("loss_call", grad=False)
    plain = [
        c for c in calls if c["fn"] in ("cross_entropy", "nll_loss") and not c.get("weighted") and not c.get("label_smoothing")
    ]
    # Without log_softmax nll_loss is no cross-entropy, and has no bound.
    plain = [c for c in plain if c["fn"] == "cross_entropy" or c.get("input", {}).get("kind") == "log_probabilities"]
    single = [
        c for c in plain if len(c.get("target", {}).get("shape", ())) == 1 and len(c.get("input", {}).get("shape", ())) == 2
    ]
    sequences = [e for e in case.events("forward") if any(len(o.get("shape", ())) > 2 for o in e.get("outputs", ()))]
    return bool(calls) and len(single) == len(calls) and not sequences


def _pairs(loss: Curve, metric: Curve) -> list[tuple[float, float]]:
    """Loss and accuracy of the same evaluations; an accuracy in percent is brought to 0 to 1."""
    if loss.unit != metric.unit or loss.steps != metric.steps:
        return []
    shares = [value for value in metric.values if value is not None]
    unit = 100.0 if shares and max(shares) > 1.0 else 1.0
    both = zip(loss.values, metric.values, strict=True)
    return [(a, b / unit) for a, b in both if a is not None and b is not None and 0 <= b <= unit]


def _contradiction(loss: Curve, metric: Curve, last: tuple[float, float], count: int) -> Finding:
    value, share = last
    return Finding(
        f"{metric.title} and {loss.title} contradict each other: with an accuracy of {share:.3g} the cross-entropy is at "
        f"least {(1 - share) * log(2):.3g}, and {value:.3g} is reported",
        Proof.MEASUREMENT,
        (
            Evidence("evaluations that contradict themselves", count, "0", metric.source),
            Evidence("loss and accuracy of the last one", [value, share], "loss ≥ (1 - accuracy) ln 2"),
        ),
        fix=Fix("Compute both on the same predictions, labels and samples: check argmax over the classes, order and divisor."),
    )

"""LOSS210: NaN losses that the log shows as ordinary numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from cognate.case.curves import Curve, loss_curves
from cognate.case.printed import printed_metrics
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Severity, rule

_ORIGIN = "huggingface trainer_state"


@rule(
    code="LOSS210",
    name="loss-nan-hidden-by-logger",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"metrics.loss"},
    explains={"loss-nonfinite", "loss-not-decreasing", "eval-validation-constant"},
    sources={
        "at_least": "a window of the log averages many steps: two windows of exactly 0.0 in a row are no coincidence",
        "at_least_steps": "five NaN steps in a row are no overflow that a loss scaler skips",
    },
    fires=Example(
        info={"origin": _ORIGIN},
        metrics=[
            {"step": 10, "loss": 1.9, "grad_norm": 2.0},
            {"step": 20, "loss": 0.0, "grad_norm": None, "nonfinite": {"grad_norm": "nan"}},
            {"step": 30, "loss": 0.0, "grad_norm": None, "nonfinite": {"grad_norm": "nan"}},
        ],
    ),
    quiet=Example(
        info={"origin": _ORIGIN},
        metrics=[{"step": step, "loss": 1.9 / step, "grad_norm": 2.0} for step in range(10, 50, 10)],
    ),
)
def loss_nan_hidden_by_logger(case: Case, *, at_least: int = 2, at_least_steps: int = 5) -> Iterator[Finding | Clear]:
    """NaN losses are hidden by the logger, which shows 0.0 or an ordinary number in their place.

    The Hugging Face Trainer leaves NaN steps out of the mean that it logs (`logging_nan_inf_filter`, on by default): a
    dead run looks like one that has reached a loss of exactly 0. The NaN gradient norm or evaluation loss beside it
    tells the two apart. Scripts that print `nan_to_num(loss)` or a `nanmean` do the same.
    """
    finding = _zeros(case, at_least) or _printed_over(case, at_least_steps)
    yield finding or Clear("no loss of exactly 0.0 beside a NaN, and printed losses agree with the recorded ones")


def _zeros(case: Case, at_least: int) -> Finding | None:
    """Losses logged as exactly 0.0 whose gradient norm, or all later evaluations, are NaN."""
    where, losses = case.metrics.take("loss")
    if 0.0 not in losses:
        return None
    norms = dict(zip(*case.metrics.take("grad_norm"), strict=True))
    zeros = [row for row, loss in zip(where, losses, strict=True) if loss == 0.0]
    hidden = [row for row in zeros if row in norms and norms[row] is None]
    what = "gradient norm"
    if not hidden:
        hidden = [row for row in zeros if row not in norms]
        evaluations = list(zip(*case.metrics.take("val_loss"), strict=True))
        later = [value for row, value in evaluations if hidden and row >= hidden[0]]
        if not later or any(value is not None for value in later):
            return None
        what = "evaluation loss"
    if len(hidden) < at_least:
        return None
    step = int(case.metrics[hidden[0]].get("step") or 0)
    return Finding(
        f"the loss is NaN from step {step} on although the log shows exactly 0.0 ({len(hidden)} entries): the {what} "
        "beside it is NaN, and the Trainer leaves NaN out of the loss that it logs",
        Proof.MEASUREMENT,
        (
            Evidence("log entries with loss 0.0 and a NaN beside it", len(hidden), "0", "metrics.jsonl"),
            Evidence("first at step", step),
        ),
        _FIX,
        onset_step=step,
    )


def _printed_over(case: Case, at_least: int) -> Finding | None:
    """The recorder saw NaN at every step since some step, and the script went on printing finite losses."""
    if case.info.get("origin", "live") != "live":
        return None
    printed = [one for one in printed_metrics(case).values() if one.role == "train_loss" and any(one.observed)]
    for curve in loss_curves(case):
        onset = _dead_from(curve, at_least) if curve.source.startswith("metrics") else None
        for series in printed if onset is not None else ():
            after = [
                value for value, seen in zip(series.values, series.observed, strict=True) if seen >= cast(int, onset) + at_least
            ]
            if len(after) >= 2 and None not in after:
                return Finding(
                    f"the loss is NaN at every step from {onset} on, but the script goes on printing finite values "
                    f"({series.texts[-1]} at last)",
                    Proof.MEASUREMENT,
                    (
                        Evidence("recorded loss since then", "NaN", "the printed value", curve.source),
                        Evidence("last printed line", series.lines[-1], "", "stdout"),
                    ),
                    _FIX,
                    onset_step=onset,
                )
    return None


def _dead_from(curve: Curve, at_least: int) -> int | None:
    values = curve.values
    start = len(values)
    while start > 0 and values[start - 1] is None:
        start -= 1
    return curve.steps[start] if len(values) - start >= at_least else None


_FIX = Fix(
    "Show the NaN, then find where it comes from",
    (
        "Hugging Face Trainer: set logging_nan_inf_filter=False in TrainingArguments; elsewhere print the loss itself",
        "Stop at the first NaN: raise when not torch.isfinite(loss)",
        "Go back to the last checkpoint before it: the weights since are NaN",
    ),
)

"""The validation loss lies below the training loss."""

from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.reported import phases
from cognate.rules.training import number, train_losses, where

_SITE = {"file": "t.py", "line": 30, "function": "evaluate"}


def _events(held: float) -> list[dict]:
    rows = []
    for step in range(60):
        call = {"kind": "loss_call", "step": step, "n": 10 * step, "fn": "cross_entropy", "grad": True, "training": True}
        rows.append(call | {"value": 1.0 + 0.02 * (step % 3), "reduction": "mean"})
        if step % 10 == 9:
            value = {"fn": "cross_entropy", "calls": 4, "sum": 4 * held, "rows": 128, "by_rows": 128 * held, "counted": 128}
            value |= {"by_counted": 128 * held, "squares": 4 * held * held, "exp": 9.0, "root": 4.0}
            phase = {"kind": "evaluation", "step": step + 1, "n": 10 * step + 5, "begun": 10 * step + 1, "last": 10 * step + 4}
            rows.append(phase | {"batches": 4, "rows": 128, "first": 32, "smallest": 32, "values": [value], "site": _SITE})
    return rows


@rule(
    code="EVAL120",
    name="eval-val-better-than-train",
    severity=Severity.INFO,
    kind=Kind.SYMPTOM,
    needs={"events.evaluation", "events.loss_call"},
    sources={
        "share": "taxonomy, eval-val-better-than-train: UMLAUT's 5 %; a tenth, because one evaluation has noise of its own",
        "grave": "our calibration: a loss below half that of training is not the luck of a split",
        "calls": "our calibration: a level of fewer than ten training batches is not known to a tenth",
    },
    fires=Example(events=_events(0.3)),
    quiet=Example(events=_events(1.1)),
)
def eval_val_better_than_train(case: Case, *, share: float = 0.1, grave: float = 0.5, calls: int = 10) -> Iterator[Said]:
    """The validation loss lies below the training loss, by more than dropout or the split's noise explains.

    Compared is the same loss at the same time: training batches of the last steps before each evaluation, not an epoch's average.
    Where the model is better in evaluation mode on training data as well, dropout explains it. Else the validation samples may
    have been trained on, be easier, or be scored otherwise than training is.
    """
    trained = [c for c in train_losses(case) if c.get("value") is not None]
    pairs = []
    for phase in phases(case):
        for value in phase["values"]:
            near = [
                c for c in trained if c["fn"] == value["fn"] and 0 <= phase["step"] - c["step"] <= max(20, phase["step"] // 4)
            ]
            alike = [
                c for c in near if not c.get("weighted") and not c.get("label_smoothing") and c.get("reduction", "mean") == "mean"
            ]
            if value.get("rows") and len(alike) >= calls and len(alike) == len(near) and phase["step"] >= calls:
                recent = _recent(case, alike, phase["step"])
                pairs.append((phase, value["by_rows"] / value["rows"], median(recent or [c["value"] for c in alike])))
    if len(pairs) < 3:
        yield Skip("fewer than three evaluations have the same loss as the training steps before them", "")
        return
    last = pairs[-3:]
    ratio = median(held / level if level > 0 else 1.0 for _, held, level in last)
    if not all(held < (1 - share) * level for _, held, level in last):
        above = max(held / level if level > 0 else 1.0 for _, held, level in last)
        yield Clear(f"of the last three evaluations one had {number(above)} times the loss of the training batches before it")
        return
    gaps = [p["result"] for p in case.probe("mode_gap")]
    by_mode = gaps[-1]["eval"] / gaps[-1]["train"] if gaps and gaps[-1]["train"] > 0 else 1.0
    if by_mode < 1 - (1 - ratio) / 2:
        yield Clear(f"a training batch, too, has {number(by_mode)} times the loss in evaluation mode: dropout explains the gap")
        return
    phase, held, level = last[-1]
    yield Finding(
        title=f"the validation loss lies below the training loss: {number(held)} at {where(phase.get('site'))}, where the "
        f"training batches before it are at {number(level)}",
        proof=Proof.MEASUREMENT,
        severity=Severity.WARNING if ratio < grave else None,
        evidence=(
            Evidence("validation loss, last evaluations", [number(h) for _, h, _ in last], "", "events.jsonl"),
            Evidence("training loss just before them", [number(t) for _, _, t in last], "below", "events.jsonl"),
            Evidence("loss of a training batch in evaluation mode, as a share of that in training mode", number(by_mode)),
        ),
        location=Location.of(phase.get("site")),
        onset_step=int(last[0][0]["step"]),
        fix=Fix("Evaluate a part of the training data in the same way; if it is as low, the split is easier or was trained on."),
    )


def _recent(case: Case, looked_at: list[dict], step: int, *, most: int = 20) -> list[float]:
    """Losses of the last steps before `step`, each of them, where the loss that is stepped on is the one that was looked at.

    Late in a run few steps are looked at closely, and a loss that falls fast was another one then.
    """
    rows = {row["step"]: loss for row in case.metrics if (loss := row.get("loss")) is not None}
    same = [abs(rows[c["step"]] - c["value"]) <= 1e-4 * max(1e-3, abs(c["value"])) for c in looked_at if c["step"] in rows]
    if len(same) < len(looked_at) or not all(same):
        return []
    return [loss for at, loss in rows.items() if step - most <= at < step]

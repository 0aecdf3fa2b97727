"""The loss jumps where training continues from a checkpoint."""

from collections.abc import Iterator
from statistics import mean, median, stdev

from cognate.rules import Case, Clear, Evidence, Example, Finding, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.resume import beginnings, resumes
from cognate.rules.training import number, where


def _parts(after: float) -> dict:
    site = {"file": "t.py", "line": 9, "function": "load"}
    holds = {"model": "weights", "optimizer": "optimizer"}
    events = [
        {"kind": "checkpoint", "name": "load", "n": 2, "step": 30, "holds": holds, "site": site},
        {"kind": "checkpoint", "name": "load_optimizer", "n": 4, "step": 30, "object": "optimizer#1", "entries": 4},
        {
            "kind": "checkpoint",
            "name": "arrived",
            "n": 6,
            "step": 30,
            "of": 2,
            "optimizer": "optimizer#1",
            "fitting": 4,
            "equal": 4,
        },
    ]
    losses = [1.0 + 0.02 * (s % 5) for s in range(30)] + [after + 0.02 * (s % 5) for s in range(30)]
    return {
        "events": events,
        "metrics": [{"step": s, "loss": loss, "optimizer": f"optimizer#{int(s >= 30)}"} for s, loss in enumerate(losses)],
    }


@rule(
    code="REPRO123",
    name="repro-resume-loss-jump",
    severity=Severity.WARNING,
    kind=Kind.SYMPTOM,
    needs={"events.checkpoint", "metrics.loss"},
    sources={
        "sigmas": "taxonomy, repro-resume-loss-jump: more than three standard deviations of the loss before",
        "factor": "our calibration: half as much again, because batches of one run differ by less than that near its end",
        "window": "our calibration: 20 losses before and the first 10 after, more would hide a jump that heals",
    },
    fires=Example(**_parts(2.5)),
    quiet=Example(**_parts(1.0)),
)
def repro_resume_loss_jump(case: Case, *, sigmas: float = 3.0, factor: float = 1.5, window: int = 20) -> Iterator[Said]:
    """The training loss jumps where training is resumed: what the checkpoint brought back is not all that the run had.

    Usual reasons: weights that were not loaded, an optimizer whose moments start from zero, a schedule that warms up again, or
    data in another order. Told by the recorded losses just before and just after the restart.
    """
    found = resumes(case) or [one for one in beginnings(case) if "optimizer" in one.kinds]
    told = 0
    for one in found:
        before = [float(r["loss"]) for r in one.before[-window:] if r.get("loss") is not None]
        after = [float(r["loss"]) for r in one.after[: window // 2] if r.get("loss") is not None]
        if len(before) < 8 or len(after) < 3:
            continue
        told += 1
        level, spread, now = mean(before), stdev(before), median(after)
        if now > level + sigmas * spread and now > factor * level > 0:
            site, step = one.load.get("site"), int(one.arrived["step"])
            yield Finding(
                title=f"the loss jumps from {number(level)} to {number(now)} at step {step}, where training continues from the "
                f"checkpoint read at {where(site)}",
                proof=Proof.MEASUREMENT,
                evidence=(
                    Evidence("loss before", f"{number(level)} ± {number(spread)}", "", "metrics.jsonl"),
                    Evidence("loss after", number(now), f"below {number(max(level + sigmas * spread, factor * level))}"),
                ),
                location=Location.of(site),
                onset_step=step,
            )
            return
    if told:
        yield Clear(f"{told} continuations, none with a jump of the loss")
    else:
        yield Skip("no training was continued from a checkpoint with the loss known before and after", "")

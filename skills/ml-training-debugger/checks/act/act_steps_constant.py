"""The printed number of steps never varies."""

from collections.abc import Iterator

from cognate.case.printed import printed_metrics
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, Skip, rule

_WORDS = ("step", "ponder", "halt", "depth", "act")


def _events(std: float) -> list[dict]:
    return [
        {"kind": "print", "stream": "stdout", "step": 100 * i, "text": f"it {i}00 loss 0.5 steps mean 8.0 std {std}"}
        for i in range(6)
    ]


@rule(
    code="ACT201",
    name="act-steps-constant",
    severity=Severity.WARNING,
    kind=Kind.SYMPTOM,
    needs={"events.print"},
    sources={"least": "our calibration: three printed zeros are no coincidence of one batch"},
    fires=Example(events=_events(0.0)),
    quiet=Example(events=_events(0.7)),
)
def act_steps_constant(case: Case, *, least: int = 3) -> Iterator[Said]:
    """The printed variance of the number of steps is zero: adaptive halting does not adapt.

    Every token uses the same number of steps, whatever that number is. This says that something is off, not why.
    """
    series = printed_metrics(case)
    counted = any(word in name for name in series for word in _WORDS)
    spreads = [
        s for name, s in series.items() if counted and ("std" in name or "var" in name.split("_")) and len(s.values) >= least
    ]
    if not spreads:
        yield Skip("the script prints no spread of the number of steps", "print the mean and standard deviation of the steps")
        return
    zero = [s for s in spreads if all(v == 0 for v in s.values)]
    if not zero:
        yield Clear("the printed spread of the number of steps is above zero")
        return
    yield Finding(
        title=f"the number of halting steps has zero variance in all {len(zero[0].values)} printed values: halting does "
        f"not adapt",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence(f"printed {zero[0].name}", zero[0].values[:8], "above 0", "stdout"),),
        onset_step=0,
        fix=Fix("Look at the halting condition and at the gradient of the halting head."),
    )

"""Steps become slower in the course of the run and stay so."""

from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, Skip, rule


def _rows(later: float) -> list[dict]:
    return [{"step": s, "step_time": 0.1 if s < 200 else later} for s in range(400)]


@rule(
    code="PERF125",
    name="perf-throughput-regression",
    severity=Severity.INFO,
    kind=Kind.SYMPTOM,
    needs={"metrics.step_time"},
    sources={
        "slower": "our calibration: the 5 % of the fault map is within the noise of a shared machine; half as slow again is not",
        "least": "our calibration: three hundred steps, thirty a block",
    },
    fires=Example(metrics=_rows(0.2)),
    quiet=Example(metrics=_rows(0.1)),
)
def perf_throughput_regression(case: Case, *, slower: float = 1.5, least: int = 300) -> Iterator[Said]:
    """The run became slower and stayed slower, with batches of the same size.

    Ten blocks of steps are compared by their medians: every one of the last four is slower than every one of the first four.
    Heat, a neighbour on the machine, memory or lists that grow, a loader that falls behind. Longer sequences are healthy.
    """
    rows = [t for r in case.metrics if (t := r.get("step_time")) and r.get("tensors") is None and r["step"] > 5]
    if len(rows) < least:
        yield Skip("too few steps were timed apart from those looked at closely", "")
        return
    size = len(rows) // 10
    blocks = [median(rows[i * size : (i + 1) * size]) for i in range(10)]
    ratio = min(blocks[6:]) / max(blocks[:4])
    if ratio < slower:
        yield Clear(f"the last steps take {median(blocks[6:]) / median(blocks[:4]):.2f} times as long as the first")
        return
    sizes = [sum(_numel(t) for t in e.get("inputs") or ()) for e in case.events("forward", grad=True)]
    if len(sizes) >= 8 and median(sizes[-4:]) > 1.1 * median(sizes[:4]):
        yield Clear("the steps take longer because the batches have grown")
        return
    turn = max(range(1, 10), key=lambda i: blocks[i] / blocks[i - 1])
    yield Finding(
        title=f"the run became {ratio:.2g} times as slow and stayed so: {median(blocks[:4]):.3g} s a step at first, "
        f"{median(blocks[6:]):.3g} s at last",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("median step time by tenths of the run", [round(b, 5) for b in blocks], "about equal", "metrics.jsonl"),
        ),
        onset_step=turn * size,
        fix=Fix("See what grows or joins in: lists that keep tensors, the loader, other processes, the clock of a hot machine."),
    )


def _numel(tensor: dict) -> int:
    total = 1
    for length in tensor.get("shape") or []:
        total *= length
    return total

"""Per-rank means over unequal numbers of tokens are averaged."""

from collections import Counter
from collections.abc import Iterator
from statistics import mean, median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.ranks import apart, replicas, states
from cognate.rules.training import commonest_site, where

_SITE = {"file": "t.py", "line": 51, "function": "train"}


def _rank(rank: int, ignored: float) -> list[dict]:
    rows: list[dict] = [{"kind": "rank", "name": "group", "rank": rank, "world": 2, "step": 0, "n": 1}]
    for step in range(6):
        rows.append(
            {
                "kind": "loss_call",
                "fn": "cross_entropy",
                "grad": True,
                "step": step,
                "n": 2 * step + 2,
                "reduction": "mean",
                "coefficient": 1.0,
                "target": {"shape": [256], "ignored": ignored * rank},
                "site": _SITE,
            }
        )
        state = {"kind": "rank", "name": "state", "object": "optimizer#0", "tensors": 2, "parameters": step, "gradients": step}
        rows.append({**state, "step": step, "n": 2 * step + 3})
    return rows


@rule(
    code="DIST105",
    name="dist-loss-mean-of-means",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"events.rank", "events.loss_call"},
    sources={
        "unequal": "our calibration: counts that differ by chance average out over the steps",
        "biased": "our calibration: sixteen rows of random length a rank differ by 13 %, in either direction",
        "least": "our calibration: four steps, so that one odd batch at the end of a pass does not decide",
    },
    fires=Example(events=_rank(0, 0.4), ranks={1: {"events": _rank(1, 0.4)}}),
    quiet=Example(events=_rank(0, 0.0), ranks={1: {"events": _rank(1, 0.0)}}),
)
def dist_loss_mean_of_means(case: Case, *, unequal: float = 0.3, biased: float = 0.1, least: int = 4) -> Iterator[Said]:
    """The loss is a mean of the ranks' means over unequal numbers of tokens: a token of a short batch counts more than others.

    Each rank divides by its own number of unmasked targets and the gradients are averaged, so the objective is not the mean over
    all tokens. Divide the sum by the global count (times the number of ranks, because the wrapper averages). Equal counts, as
    with packed sequences, make no difference.
    """
    parts = replicas(case)
    told = states(case)
    if len(parts) < 2 or sum(apart(rows, "gradients") for _, rows in told) > 0.2 * len(told):
        yield Skip("fewer than two ranks that average their gradients were recorded", "")
        return
    counts = [_counts(part) for part in parts.values()]
    steps = sorted(set.intersection(*(set(found) for found in counts)))
    if len(steps) < least:
        yield Skip("no mean over masked targets was recorded on the ranks", "")
        return
    spread = [(max(c[s] for c in counts) - min(c[s] for c in counts)) / mean(c[s] for c in counts) for s in steps]
    least_often = Counter(min(range(len(counts)), key=lambda i: counts[i][s]) for s in steps)
    always = len(steps) > least and max(least_often.values()) >= 0.9 * len(steps)
    if median(spread) < (biased if always else unequal):
        yield Clear(f"the ranks average over about the same number of targets (median difference {median(spread):.1%})")
        return
    allowed = biased if always else unequal
    calls = [e for e in case.events("loss_call", grad=True) if e["step"] in steps]
    site = commonest_site(calls)
    yield Finding(
        title=f"the loss at {where(site)} averages on each rank over its own number of targets, which differ by "
        f"{median(spread):.0%}: tokens do not count alike",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("median difference of the numbers of targets", f"{median(spread):.0%}", f"< {allowed:.0%}", "events.jsonl"),
            Evidence(f"targets by rank at step {steps[0]}", [round(c[steps[0]]) for c in counts], "equal"),
            Evidence("coefficient of each rank's mean in its gradient", "1", "own targets × ranks / all targets"),
        ),
        location=Location.of(site),
        onset_step=int(steps[0]),
        fix=Fix(
            "Sum the loss on each rank and divide by the number of targets of all ranks, times the number of ranks "
            "(all_reduce the count first)."
        ),
    )


def _counts(part: Case) -> dict[int, float]:
    """Targets that count by step, where one loss of the step is a plain mean over them."""
    found: dict[int, list[float]] = {}
    for call in part.events("loss_call", grad=True):
        target = call.get("target") or {}
        total = 1
        for size in target.get("shape") or []:
            total *= size
        plain = call.get("reduction") == "mean" and abs((call.get("coefficient") or 0.0) - 1.0) < 1e-6
        masked = target.get("ignored") is not None and total > 0
        found.setdefault(int(call["step"]), []).append(total * (1 - target["ignored"]) if plain and masked else 0.0)
    return {step: values[0] for step, values in found.items() if len(values) == 1 and values[0] > 0}

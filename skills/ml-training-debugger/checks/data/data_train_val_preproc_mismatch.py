"""Training and validation inputs are scaled differently."""

from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.inputs import data_place
from cognate.rules.training import commonest_site, evaluations, number, where


def _events(scale: float) -> list[dict]:
    tensor = {"shape": [32, 8], "dtype": "float32", "mean": 0.0, "std": 1.0, "distinct": 256}
    base = {"kind": "forward", "object": "model#0 Net", "training": True, "site": {"file": "t.py", "line": 9}}
    rows = [base | {"step": s, "n": 2 * s, "grad": True, "inputs": [tensor]} for s in range(8)]
    held = [tensor | {"mean": 4.0 * (scale - 1), "std": scale}]
    return [*rows, *(base | {"step": s, "n": 2 * s + 1, "grad": False, "inputs": held} for s in (7, 8))]


@rule(
    code="DATA106",
    name="data-train-val-preproc-mismatch",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.forward"},
    explains={"eval-overfit"},
    sources={
        "shift": "taxonomy, data-train-val-preproc-mismatch: 0.1 standard deviations; a whole one leaves shifts of the data out",
        "stretch": "our calibration: a standard deviation twice or half as large is another scaling, not another sample",
    },
    fires=Example(events=_events(60.0)),
    quiet=Example(events=_events(1.0)),
)
def data_train_val_preproc_mismatch(case: Case, *, shift: float = 1.0, stretch: float = 2.0) -> Iterator[Said]:
    """Training and validation data are preprocessed differently: the normalisation of one is missing or other in the other.

    The model is then judged on inputs of a scale that it never saw. Usual places: a transform given to the training set alone,
    statistics computed per split, pixels divided by 255 once and not the second time.
    """
    trained = [e for e in case.events("forward", grad=True) if e.get("inputs") and "std" in e["inputs"][0]]
    held = [e for e in evaluations(case) if e.get("inputs") and "std" in e["inputs"][0]]
    pairs = {e["object"] for e in trained} & {e["object"] for e in held}
    if not pairs:
        yield Skip("no model was seen on floating-point inputs in training and in evaluation", "")
        return
    for name in sorted(pairs):
        (mean, std), (other, spread) = (_level([e for e in events if e["object"] == name]) for events in (trained, held))
        steady = all(_steady([e for e in events if e["object"] == name]) for events in (trained, held))
        if std <= 0 or spread <= 0 or not steady:
            continue
        moved, ratio = abs(other - mean) / max(std, spread), max(std / spread, spread / std)
        # Both the place and the width must differ much, or one of them very much.
        if (moved > shift and ratio > stretch) or ratio > 4 * stretch or moved > 3 * shift:
            site = commonest_site([e for e in held if e["object"] == name])
            yield Finding(
                title=f"training and validation inputs are preprocessed differently: mean {number(mean)} and standard "
                f"deviation {number(std)} "
                f"in training, {number(other)} and {number(spread)} at {where(site)}",
                proof=Proof.MEASUREMENT,
                evidence=(
                    Evidence("mean of the input, training / evaluation", [mean, other], "equal", "events.jsonl"),
                    Evidence("standard deviation, training / evaluation", [std, spread], "equal", "events.jsonl"),
                ),
                location=Location.of(_place(case, [e for e in held if e["object"] == name]) or site),
                onset_step=0,
                fix=Fix("Send both splits through one transform, with the statistics of the training set."),
            )
            return
    yield Clear("training and evaluation inputs have the same scale")


def _steady(events: list[dict]) -> bool:
    """Whether the input has one scale throughout: data has, a state that a recursion hands on has not."""
    spreads = sorted(e["inputs"][0]["std"] for e in events)
    low, high = spreads[len(spreads) // 10], spreads[-1 - len(spreads) // 10]
    return bool(low > 0 and high < 1.5 * low)


def _level(events: list[dict]) -> tuple[float, float]:
    return median(e["inputs"][0]["mean"] for e in events), median(e["inputs"][0]["std"] for e in events)


def _place(case: Case, held: list[dict]) -> dict | None:
    """The statement that made the evaluated data, whichever of its batches was seen in a loader."""
    return next((place for event in held if (place := data_place(case, event))), None)

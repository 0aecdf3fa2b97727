"""Training and validation inputs are scaled differently."""

from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.chance import over_chance
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
        "alone": "our calibration: rows standardised one by one differ by rounding alone, in mean and in spread",
        "varied": "our calibration: rows of data standardised as a whole differ by more than a twentieth of the spread",
        "chance": "our calibration: held-out losses within 3 % of the best constant guess; and training below nine tenths of it",
    },
    fires=Example(events=_events(60.0)),
    quiet=Example(events=_events(1.0)),
)
def data_train_val_preproc_mismatch(
    case: Case,
    *,
    shift: float = 1.0,
    stretch: float = 2.0,
    alone: float = 1e-3,
    varied: float = 0.05,
    chance: float = 0.97,
) -> Iterator[Said]:
    """Training and validation data are preprocessed differently: the normalisation of one is missing or other in the other.

    The model is then judged on inputs of a scale that it never saw. Usual places: a transform given to the training set alone,
    statistics computed per split or per record, pixels divided by 255 once and not the second time.
    """
    fails = _fails_on_new_data(case, chance)
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
        mine, others = ([e for e in events if e["object"] == name] for events in (trained, held))
        one_by_one = _by_record(mine, others, alone, varied) if fails else None
        if one_by_one:
            yield _of_records(case, others, *one_by_one)
            return
    yield Clear("training and evaluation inputs have the same scale")


def _fails_on_new_data(case: Case, chance: float) -> bool:
    """Whether held-out losses were never better than chance although training samples, also new ones, are told apart."""
    held, seen = over_chance(case, grad=False), over_chance(case, grad=True)
    return len(held) >= 2 and len(seen) >= 4 and min(held.values()) > chance and median(sorted(seen.values())[:4]) < 0.9 * chance


def _by_record(trained: list[dict], held: list[dict], alone: float, varied: float) -> tuple[list[float], list[float]] | None:
    """How much rows differ in mean and spread, in training and in evaluation, where one side alone has rows that don't."""
    sides = []
    for events in (trained, held):
        rows = [(e["inputs"][0]["row_means"], e["inputs"][0]["row_stds"]) for e in events if "row_stds" in e["inputs"][0]]
        if not rows:
            return None
        sides.append([median(values) for values in zip(*rows, strict=True)])
    equal = [max(side) < alone for side in sides]
    return (sides[0], sides[1]) if equal.count(True) == 1 and max(sides[equal.index(False)]) > varied else None


def _of_records(case: Case, held: list[dict], trained_rows: list[float], held_rows: list[float]) -> Finding:
    site = _place(case, held) or commonest_site(held)
    which = ("validation", "training") if max(held_rows) < max(trained_rows) else ("training", "validation")
    return Finding(
        title=f"training and validation inputs are preprocessed differently: each {which[0]} sample is standardised by itself, "
        f"those of {which[1]} are not",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("spread of the samples' means and of their spreads, in training", trained_rows, "alike", "events.jsonl"),
            Evidence("the same in evaluation", held_rows, "alike", "events.jsonl"),
            Evidence("lowest held-out loss / that of the best constant guess", round(min(over_chance(case, False).values()), 3)),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix("Send both splits through one transform, with the statistics of the training set."),
    )


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

"""Validation samples were trained on."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.inputs import data_place
from cognate.rules.training import commonest_site, evaluations, where


def _events(shared: int) -> list[dict]:
    rows = [
        {
            "kind": "forward",
            "grad": True,
            "step": s,
            "n": 2 * s,
            "rows": list(range(100 * s, 100 * s + 32)),
            "object": "m",
            "inputs": [{"dtype": "float32", "shape": [32, 8]}],
        }
        for s in range(20)
    ]
    held_out = list(range(shared)) + list(range(10_000, 10_064 - shared))
    return [*rows, {"kind": "forward", "grad": False, "step": 20, "n": 99, "rows": held_out, "object": "m",
                    "site": {"file": "t.py", "line": 9},
                    "inputs": [{"dtype": "float32", "shape": [64, 8]}]}]  # fmt: skip


@rule(
    code="EVAL103",
    name="eval-split-overlap",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.forward"},
    explains={"eval-val-better-than-train"},
    sources={
        "share": "taxonomy, eval-split-overlap: 0.1 % exact; 5 % leaves room for samples that are equal by chance",
        "distinct": "our calibration: where training samples themselves repeat, equality proves nothing",
    },
    fires=Example(events=_events(24)),
    quiet=Example(events=_events(0)),
)
def eval_split_overlap(case: Case, *, share: float = 0.05, distinct: float = 0.9) -> Iterator[Said]:
    """Validation and training data overlap: validation samples were trained on, so their loss says nothing about new data.

    Samples are compared by content. Usual places: a split after oversampling or augmentation, two random splits with different
    seeds, slices that overlap, the training loader passed to the evaluation. Evaluating on training data beside a clean split is
    common and left alone.
    """
    forwards = [e for e in case.events("forward") if e.get("rows") and e.get("inputs")]
    trained = {row for event in forwards if event["grad"] for row in event["rows"]}
    held = _held_out(case, forwards)
    if not trained or not held:
        yield Skip("training and evaluation samples were not both seen", "")
        return
    per_batch = [len(set(e["rows"])) / len(e["rows"]) for e in forwards if e["grad"] and len(e["rows"]) >= 8]
    if not per_batch or sum(per_batch) / len(per_batch) < distinct:
        yield Skip("training samples repeat by themselves, so equality with validation samples proves nothing", "")
        return
    groups = _by_set(case, held)
    shares = {key: sum(r in trained for r in rows) / len(rows) for key, (rows, _) in groups.items() if len(rows) >= 8}
    if not shares:
        yield Skip("too few evaluation samples were seen", "")
        return
    # Discrete inputs can be equal by chance, so only sets of many values per sample are judged there.
    floating = all(_continuous(e["inputs"][0]) for e in held)
    wide = all(_width(e) >= 24 for e in held)
    lowest = min(shares.values())
    key = max(shares, key=lambda k: (shares[k] < 0.999, shares[k]))
    # Beside a clean set, one that overlaps is the training set itself, evaluated for comparison.
    dirty = lowest >= share and (floating or (wide and shares[key] > CHANCE * _by_chance(held, len(trained))))
    if not dirty:
        yield Clear(f"{lowest:.1%} of the evaluation samples seen were among the training samples seen")
        return
    events = groups[key][1]
    site = commonest_site(events)
    yield Finding(
        title=f"validation data overlap with training data: {shares[key]:.0%} of the samples evaluated at {where(site)} "
        f"were trained on",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("evaluation samples equal to a training sample that was seen", f"{shares[key]:.1%}", "0 %", "events.jsonl"),
            Evidence("training samples seen", len(trained)),
            Evidence("evaluation samples seen", len(groups[key][0])),
        ),
        location=Location.of(data_place(case, events[0]) or site),
        onset_step=int(events[0]["step"]),
        fix=Fix(
            "Split once, before any augmentation or oversampling, by sample or group id, and assert that the parts are disjoint."
        ),
    )


def _held_out(case: Case, forwards: list[dict]) -> list[dict]:
    """Evaluations of sets with rows of their own.

    Where the very tensor of a training step is evaluated, samples are told apart by a mask (a graph) or not at all.
    """
    whole = {e["inputs"][0].get("hash") for e in forwards if e["grad"]} - {None}
    held = [e for e in evaluations(case) if e.get("inputs") and len(e.get("rows", ())) >= 8]
    return [e for e in held if e["inputs"][0].get("hash") not in whole]


FEW_VALUES = 32  # floats that take no more values than this (pixels that are on or off) are discrete


def _continuous(tensor: dict) -> bool:
    return bool(tensor.get("dtype", "").startswith(("float", "bfloat")) and tensor.get("distinct", FEW_VALUES + 1) > FEW_VALUES)


CHANCE = 3.0  # times the share that repeats within the evaluation set itself lead one to expect


def _by_chance(held: list[dict], trained: int) -> float:
    """Share of evaluation samples expected among `trained` samples if both are drawn from one set of few sequences."""
    rows = [row for event in held for row in event["rows"]]
    one_pass = [row for event in held if event["step"] == held[0]["step"] for row in event["rows"]] or rows
    repeats = len(one_pass) - len(set(one_pass))
    pairs = max(1.0, len(one_pass) ** 2 / 2)
    return min(1.0, trained * max(repeats, 1) / pairs)


def _width(event: dict) -> int:
    size = 1
    for n in event["inputs"][0].get("shape", [1])[1:]:
        size *= n
    return size


def _by_set(case: Case, events: list[dict]) -> dict[str, tuple[set[int], list[dict]]]:
    """Evaluation samples by the loader that they came from, or by the line that ran them where there was none."""
    passes = [(c["n"], c["object"]) for c in case.events("call", name="loader_iter")]
    found: dict[str, tuple[set[int], list[dict]]] = {}
    for event in events:
        before = [name for n, name in passes if n < event["n"]]
        site = event.get("site") or {}
        key = before[-1] if before else f"{site.get('file')}:{site.get('line')}:{event['inputs'][0].get('shape')}"
        rows, its = found.setdefault(key, (set(), []))
        rows.update(event["rows"])
        its.append(event)
    # A set that is evaluated again and again steers the run; one that is touched once, at the end, is a test of it.
    repeated = {key: value for key, value in found.items() if len({e["step"] for e in value[1]}) >= 2}
    return repeated or found

"""The model's input holds NaN or inf."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.inputs import data_place
from cognate.rules.places import not_a_number
from cognate.rules.training import where


def _events(share: float) -> list[dict]:
    tensor = {"shape": [32, 8], "dtype": "float32"} | ({"nonfinite": share} if share else {})
    base = {"kind": "forward", "grad": True, "training": True, "inputs": [tensor], "site": {"file": "t.py", "line": 3}}
    return [base | {"step": s} for s in range(6)]


@rule(
    code="DATA103",
    name="data-nan-or-inf-input",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.forward"},
    explains={"loss-nonfinite", "loss-diverging", "grad-exploding", "opt-lr-too-high", "num-unstable-expression"},
    core=True,
    fires=Example(events=_events(0.01)),
    quiet=Example(events=_events(0.0)),
)
def data_nan_or_inf_input(case: Case) -> Iterator[Said]:
    """NaN or inf values in the input data: they reach the model, and everything computed from them is NaN.

    Told from numerical faults by where it starts: the batch is non-finite before the model has touched it. Usual places: missing
    values in a table, a division by a zero standard deviation, a log of zero in the features.
    """
    looked = [e for e in case.events("forward") if e.get("inputs")]
    # Infinite entries in a later input are usually an attention mask.
    wrong = [e for e in looked if e["inputs"][0].get("nonfinite")]
    if not looked:
        yield Skip("the model's inputs were not seen", "")
        return
    if not wrong:
        later = _later(case, looked) or _labels(case)
        if later is not None:
            yield later
            return
        yield Clear(f"the inputs of {len(looked)} forwards were finite")
        return
    first = wrong[0]
    share = first["inputs"][0]["nonfinite"]
    yield Finding(
        title=f"the input data holds NaN or inf: {share:.2%} of the values given to the model at {where(first.get('site'))} "
        f"in step {first['step']} are not finite",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("forwards with a non-finite input", f"{len(wrong)} of {len(looked)}", "0", "events.jsonl"),
            Evidence("share of non-finite values in the first of them", share, "0"),
        ),
        location=Location.of(not_a_number(case) or data_place(case, first) or first.get("site")),
        onset_step=int(first["step"]),
        fix=Fix("Find and fill or drop the missing values before batching; check divisions by zero in the normalisation."),
    )


def _later(case: Case, looked: list[dict]) -> Finding | None:
    """A batch that no close window saw: backward found NaN in what the first operation on it was given."""
    onset = next(iter(case.events("onset")), None)
    if onset is None or onset.get("born") != "given" or onset.get("nonfinite_weights"):
        return None
    step, shape = int(onset["step"]), list(onset.get("shape") or [])
    # What was looked at in that very step was finite: then it was computed on the way.
    if any(e["step"] == step and e.get("grad") for e in looked) or not any(_same(shape, e) for e in looked):
        return None
    return Finding(
        title=f"the input data holds NaN or inf in step {step}: `{onset['op']}` is given {onset.get('nonfinite', 0):.2%} values "
        "that are not finite, and the loss becomes NaN",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("share of non-finite values in a batch", onset.get("nonfinite"), "0", f"step {step}"),
            Evidence("weights before it", "finite"),
        ),
        location=Location.of(looked[0].get("site")),
        onset_step=step,
        fix=Fix("Find and fill or drop the missing values before batching; check divisions by zero in the normalisation."),
    )


def _same(shape: list[int], forward: dict) -> bool:
    """Whether a tensor is of the shape of the model's input, whatever the size of the batch, flattened or not."""
    given = list(forward["inputs"][0].get("shape") or [])
    return bool(shape and given) and shape[-1:] == given[-1:]


def _labels(case: Case) -> Finding | None:
    """The targets of the loss are not finite while the scores still are."""
    for call in case.events("loss_call", grad=True):
        target, scores = call.get("target") or {}, call.get("input") or {}
        if scores.get("nonfinite"):
            return None
        if target.get("nonfinite"):
            return Finding(
                title=f"the targets hold NaN or inf: {target['nonfinite']:.2%} of what {call['fn']} at {where(call.get('site'))} "
                f"is given in step {call['step']} is not finite",
                proof=Proof.MEASUREMENT,
                evidence=(
                    Evidence("share of non-finite targets", target["nonfinite"], "0", "events.jsonl"),
                    Evidence("scores of the model beside them", "finite"),
                ),
                location=Location.of(call.get("site")),
                onset_step=int(call["step"]),
                fix=Fix("Find and fill or drop the missing targets, or leave them out of the loss by a mask."),
            )
    return None

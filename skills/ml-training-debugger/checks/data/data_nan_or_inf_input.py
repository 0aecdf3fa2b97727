"""The model's input holds NaN or inf."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
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
        location=Location.of(first.get("site")),
        onset_step=int(first["step"]),
        fix=Fix("Find and fill or drop the missing values before batching; check divisions by zero in the normalisation."),
    )

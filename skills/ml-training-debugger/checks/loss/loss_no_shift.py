"""The language model is asked for the token that it is given."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.offsets import agreement
from cognate.rules.training import where


def _parts(offset: int, before: float) -> dict:
    shares = {str(k): 1.0 if k == offset else 0.1 for k in range(-1, 4)}
    call = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "site": {"file": "t.py", "line": 40}}
    events = [call | {"step": s, "target": {"offsets": {"0": shares}}} for s in range(6)]
    result = {"before": before, "own": 1.0, "after": 2.0, "scale": 1.0, "offset": offset}
    return {"events": events, "probes": [{"probe": "causality", "status": "ok", "result": result}]}


@rule(
    code="LOSS105",
    name="loss-no-shift",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.loss_call", "probe.causality"},
    explains={"eval-overfit"},
    sources={"calls": "the agreement is exact; three batches rule out one special batch"},
    fires=Example(**_parts(0, 0.0)),
    quiet=Example(**_parts(1, 0.0)),
)
def loss_no_shift(case: Case, *, calls: int = 3) -> Iterator[Said]:
    """The targets are not shifted: a causal model is trained to repeat the current token instead of predicting the next one.

    The loss falls to nearly zero at once, because the answer is the input, and generation repeats itself. Only causal models are
    meant: a denoiser or masked model predicts the token at its own place by design.
    """
    found = agreement(case, calls)
    causal = all(
        (p["result"]["before"] or 0.0) <= 1e-4 * max(1.0, p["result"].get("scale") or 1.0) for p in case.probe("causality")
    )
    # A decoder that is handed its targets and reads them one step late sees no current token: nothing can be copied.
    reads = any((p["result"].get("own") or 0.0) > 1e-6 for p in case.probe("causality"))
    if found is None or found.offset != 0 or not causal or not reads:
        yield Clear(
            f"targets equal the input at offset {found.offset:+d}" if found else "targets are not the input shifted in time"
        )
        return
    yield Finding(
        title=f"the targets at {where(found.site)} are not shifted: they equal the current input token, not the next one",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("targets equal to the input at the same position", f"{found.share:.1%}", "about chance", "events.jsonl"),
            Evidence("targets equal to the next input token", f"{found.shares.get(1, 0.0):.1%}", "100 %"),
            Evidence("the model is causal", "yes", "", "probe causality"),
        ),
        location=Location.of(found.site),
        onset_step=0,
        fix=Fix("Shift once: logits[:, :-1] against tokens[:, 1:]."),
    )

"""The targets are shifted twice."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.offsets import agreement
from cognate.rules.places import shifting
from cognate.rules.source import called, calls_at
from cognate.rules.training import where


def _events(offset: int) -> list[dict]:
    shares = {str(k): 1.0 if k == offset else 0.1 for k in range(-1, 4)}
    call = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "site": {"file": "t.py", "line": 40}}
    return [call | {"step": s, "target": {"offsets": {"0": shares}}} for s in range(6)]


@rule(
    code="LOSS106",
    name="loss-double-shift",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.loss_call"},
    explains={"loss-not-decreasing"},
    sources={"calls": "the agreement is exact; three batches rule out one special batch"},
    fires=Example(events=_events(2)),
    quiet=Example(events=_events(1)),
)
def loss_double_shift(case: Case, *, calls: int = 3) -> Iterator[Said]:
    """The targets are shifted twice: the model is trained to predict the token after the next one.

    Labels that the data loader already shifted are shifted again in the loss or by the library. Every position learns t+2, the
    loss ends too high, and generation skips tokens. Models with several prediction heads have one head at +1 and are left alone.
    """
    found = agreement(case, calls)
    if found is None or found.offset < 2:
        yield Clear(
            f"targets equal the input at offset {found.offset:+d}" if found else "targets are not the input shifted in time"
        )
        return
    yield Finding(
        title=f"the targets at {where(found.site)} are shifted twice: each equals the input token {found.offset} positions "
        f"ahead, "
        "not the next one",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence(
                f"targets equal to the input token at +{found.offset}",
                f"{found.share:.1%}",
                "about chance",
                "events.jsonl",
            ),
            Evidence("targets equal to the next input token", f"{found.shares.get(1, 0.0):.1%}", "100 %"),
        ),
        location=Location.of(_in_the_data(case, found.site) or found.site),
        onset_step=0,
        fix=Fix("Shift once: either in the data or in the loss, not in both."),
    )


def _in_the_data(case: Case, site: dict | None) -> dict | None:
    """The shift in the data set, where the other one is a library's: no first-party function of the loss shifts."""
    if not any(called(node) in ("train", "fit", "evaluate") for node in calls_at(case, site)):
        return None
    return shifting(case, {str(event.get("dataset")) for event in case.events("loader")})

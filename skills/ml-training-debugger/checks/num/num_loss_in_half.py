"""The loss is computed in half precision, and comes out wrong."""

from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.training import commonest_site, number, train_losses, where


def _events(value: float) -> list[dict]:
    site = {"file": "t.py", "line": 30, "function": "train"}
    call = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "result_dtype": "bfloat16", "value": value, "site": site}
    return [call | {"step": s, "n": s, "value_float32": 2.0} for s in range(8)]


@rule(
    code="NUM125",
    name="num-loss-in-half",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"events.loss_call"},
    explains={"loss-not-decreasing", "loss-nonfinite"},
    sources={
        "off": "taxonomy, num-loss-in-half: more than 1 % away from the same loss of the same scores in float32",
        "least": "our calibration: five losses that were recomputed",
    },
    fires=Example(events=_events(2.06)),
    quiet=Example(events=_events(2.004)),
)
def num_loss_in_half(case: Case, *, off: float = 0.01, least: int = 5) -> Iterator[Said]:
    """The loss is computed in half precision: the same scores in float32 have another loss.

    bfloat16 keeps three digits, so a sum over a large vocabulary or a long batch saturates, and the gradient with it. Call
    `.float()` on the scores before the loss; autocast does this for the losses of torch, a model cast to half precision does not.
    Each half-precision loss in a close window is computed again in float32, so that only a difference that exists is reported.
    """
    calls = [c for c in train_losses(case) if c.get("value_float32") is not None and c.get("value") is not None]
    if not calls:
        yield Clear("no training loss was computed in half precision")
        return
    wide = [float(c["value_float32"]) for c in calls]
    apart = [abs(float(c["value"]) - w) / max(abs(w), 1e-12) for c, w in zip(calls, wide, strict=True)]
    apart = [a for a in apart if a == a]
    if len(apart) < least or median(apart) <= off:
        yield Clear(f"{len(calls)} losses in half precision, {median(apart):.2%} from float32" if apart else "no loss was finite")
        return
    site = commonest_site(calls)
    first = calls[0]
    yield Finding(
        title=f"the loss at {where(site)} is computed in {first.get('result_dtype')} and is {median(apart):.1%} off: "
        f"{number(first['value'])} where the same scores in float32 have {number(first['value_float32'])}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("difference from float32 (median)", f"{median(apart):.2%}", f"≤ {off:.0%}", "events.jsonl"),
            Evidence("losses that were computed again", len(calls)),
        ),
        location=Location.of(site),
        onset_step=int(first["step"]),
        fix=Fix("Call .float() on the scores before the loss."),
    )

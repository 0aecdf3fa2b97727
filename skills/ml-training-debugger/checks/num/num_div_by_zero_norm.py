"""Something is divided by a size that is zero."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.birth import birth, broken, ran_away, zero_norm
from cognate.rules.training import where


def _parts(zero: bool) -> dict:
    site = {"file": "model.py", "line": 20, "function": "forward"}
    trace = [
        {"w": 1, "i": 0, "op": "std", "in": [], "g": True, "site": site},
        {"w": 1, "i": 1, "op": "truediv", "in": [0, 0], "ig": True, "g": True, "site": site}
        | ({"nan": 0.1, "inf": 0.0} if zero else {}),
        {"w": 1, "root": 1, "nodes": 2},
    ]
    value = {"loss": None, "nonfinite": {"loss": "nan"}} if zero else {"loss": 1.0}
    return {"trace": trace, "metrics": [{"step": s} | value for s in range(8)]}


@rule(
    code="NUM121",
    name="num-div-by-zero-norm",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"metrics.loss"},
    explains={
        "loss-nonfinite",
        "loss-not-decreasing",
        "num-fp16-scale-collapse",
        "loss-diverging",
        "grad-exploding",
        "opt-lr-too-high",
        "num-unstable-expression",
    },
    fires=Example(**_parts(True)),
    quiet=Example(**_parts(False)),
)
def num_div_by_zero_norm(case: Case) -> Iterator[Said]:
    """A standard deviation, norm, sum or count that can be zero is divided by: 0 / 0 is NaN, and the loss with it.

    A constant column, a batch of one, a vector of zeros or a mask that keeps nothing has size zero. Add an epsilon or clamp the
    size. Reported only where that division made the first non-finite number of the run and the loss followed.
    """
    if not broken(case):
        yield Clear("the training loss stayed finite")
        return
    found = birth(case)
    made = zero_norm(found) if found is not None else None
    if found is None or made is None or ran_away(case, found.step):
        yield Clear("the first non-finite number did not come from a division by a size")
        return
    yield Finding(
        title=f"`{made['op']}` is zero at step {found.step}, and {where(found.site)} divides by it: the loss becomes NaN",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence(
                "share of zero denominators, or of NaN in the result", found.facts.get("share") or found.facts.get("nan"), "0"
            )
            if found.facts.get("share") or found.facts.get("nan")
            else Evidence("result", "not finite", "finite", "trace.jsonl"),
            Evidence("the size is computed at", where(made.get("site"))),
        ),
        location=Location.of(found.site, found.module),
        onset_step=found.step,
        fix=Fix("Clamp the size away from zero: x / size.clamp_min(1e-8), or add an epsilon as LayerNorm does."),
    )

"""An adaptive optimizer keeps its second moments in half precision."""

import math
from collections.abc import Iterator
from statistics import median
from typing import Any

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule


def _parts(still: float) -> dict:
    dtype = "bfloat16" if still else "float32"
    optimizer = {
        "label": "optimizer#0",
        "cls": "AdamW",
        "state_dtypes": {"exp_avg_sq": {dtype: 6}},
        "site": {"file": "t.py", "line": 3},
    }
    rows = [
        {"step": s, "lr": 1e-3, "optimizer": "optimizer#0"} | ({"unchanged_moments": still} if still else {}) for s in range(12)
    ]
    return {"model": {"roots": [{"parameters": []}], "optimizers": [optimizer | {"groups": [{"lr": 1e-3}]}]}, "metrics": rows}


@rule(
    code="NUM124",
    name="num-half-optimizer-state",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"model"},
    explains={"loss-not-decreasing", "loss-nonfinite", "loss-diverging"},
    sources={
        "still": "with beta2 0.999 a moment moves by a thousandth and bfloat16 resolves 1/256: half of them stand still",
        "zero": "float16 holds no square of a gradient below 2.4e-4: half of the moments at zero divides by epsilon alone",
        "least": "our calibration: five measured steps",
    },
    fires=Example(**_parts(0.8)),
    quiet=Example(**_parts(0.0)),
)
def num_half_optimizer_state(case: Case, *, still: float = 0.5, zero: float = 0.5, least: int = 5) -> Iterator[Said]:
    """The optimizer's moments are kept in half precision: running means of squared gradients stand still or are zero.

    Adam's second moment moves by a thousandth of the difference in each step; bfloat16 resolves a 256th of it, so that the moment
    keeps its early value for ever, and float16 holds no small square at all. The state takes the type of the parameters: keep
    float32 parameters under autocast, or float32 master weights. Optimizers made for 8-bit state are not meant.
    """
    wrong = [o for o in case.model.get("optimizers", []) if _half(o)]
    if not wrong:
        yield Clear("no optimizer keeps squared gradients in half precision")
        return
    broke = _step_that_broke(case, wrong[0])
    if broke is not None:
        yield broke
        return
    label = wrong[0].get("label")
    rows = [r for r in case.metrics if r.get("optimizer") == label and r.get("unchanged_moments") is not None and r.get("lr")]
    stood = [float(r["unchanged_moments"]) for r in rows]
    zeros = [float(r.get("zero_moments") or 0.0) for r in rows]
    if len(rows) < least or (median(stood) < still and median(zeros) < zero):
        yield Clear(
            f"the moments of {wrong[0].get('cls')} are in half precision and {median(stood):.0%} stand still"
            if stood
            else "too few steps"
        )
        return
    dtype = next(iter(wrong[0]["state_dtypes"]["exp_avg_sq"]))
    seen = f"{median(stood):.0%} do not move in a step" if median(stood) >= still else f"{median(zeros):.0%} are zero"
    yield Finding(
        title=f"{wrong[0].get('cls')} keeps its running means of squared gradients in {dtype}: {seen}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence(
                "second moments with a gradient that a step leaves unchanged (median)",
                round(median(stood), 4),
                f"< {still}",
                "metrics.jsonl",
            ),
            Evidence("second moments that are zero (median)", round(median(zeros), 4), f"< {zero}"),
        ),
        location=Location.of(wrong[0].get("site")),
        onset_step=0,
        fix=Fix(
            "Keep the parameters in float32 and run the forward under torch.autocast: the optimizer's state follows their type."
        ),
    )


def _half(optimizer: object) -> bool:
    kinds = optimizer.get("state_dtypes", {}).get("exp_avg_sq", {})  # type: ignore[attr-defined]
    return any(kind in ("bfloat16", "float16") for kind in kinds)


def _step_that_broke(case: Case, optimizer: Any) -> Finding | None:
    """Weights that one step made non-finite from finite gradients: in float16 small squares and epsilon are both zero."""
    onset = next(iter(case.events("onset")), None)
    if onset is None or not onset.get("nonfinite_weights") or "float16" not in optimizer["state_dtypes"]["exp_avg_sq"]:
        return None
    last = next((row for row in case.metrics if int(row.get("step", -1)) == int(onset["step"]) - 1), None)
    norm = last.get("grad_norm_at_step") if last is not None else None
    if norm is None or not math.isfinite(norm):
        return None
    return Finding(
        title=f"a step of {optimizer.get('cls')} with its state in float16 makes the weights non-finite at step {onset['step']}, "
        f"from finite gradients of norm {norm:.3g}",
        proof=Proof.MEASUREMENT,
        severity=Severity.ERROR,
        evidence=(
            Evidence(
                "tensors that are not finite after the step", ", ".join(onset["nonfinite_weights"][:4]), "none", "events.jsonl"
            ),
            Evidence("gradient norm before it", norm, "", "metrics.jsonl"),
            Evidence("in float16, 1e-8 and squares below 6e-8", "0", "float32 state"),
        ),
        location=Location.of(optimizer.get("site")),
        onset_step=int(onset["step"]) - 1,
        fix=Fix(
            "Keep the parameters in float32 and run the forward under torch.autocast: the optimizer's state follows their type."
        ),
    )

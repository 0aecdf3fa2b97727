"""Updates are too small for half-precision weights."""

import ast
from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import first_call
from cognate.rules.training import commonest_site, parameters


def _parts(unchanged: float) -> dict:
    rows = [{"name": "w", "dtype": "bfloat16", "requires_grad": True, "grad": "present", "optimizer": "optimizer#0", "numel": 64}]
    metrics = [{"step": s, "lr": 1e-4, "unchanged_elements": unchanged, "half_precision": True} for s in range(12)]
    return {"model": {"roots": [{"parameters": rows}]}, "metrics": metrics}


@rule(
    code="NUM102",
    name="num-bf16-update-lost",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"model", "metrics.unchanged_elements"},
    explains={
        "loss-not-decreasing",
        "opt-lr-too-low",
        "data-input-label-misaligned",
        "opt-step-no-effect",
        "num-half-optimizer-state",
    },
    sources={
        "share": "taxonomy, num-bf16-update-lost: more than half of the elements unchanged (half an ulp is 2^-9 of the weight)"
    },
    fires=Example(**_parts(0.9)),
    quiet=Example(**_parts(0.05)),
)
def num_bf16_update_lost(case: Case, *, share: float = 0.5) -> Iterator[Said]:
    """Updates are lost in bf16: weights kept in half precision do not change, because each update is smaller than half an ulp.

    bfloat16 has eight significant bits: an update below 1/512 of the weight rounds away, and it does so at every step. Keep
    float32 master weights (autocast), or use stochastic rounding or Kahan summation.
    """
    half = [
        p for p in parameters(case) if p.get("dtype") in ("bfloat16", "float16") and p.get("requires_grad") and p.get("optimizer")
    ]
    if not half:
        yield Clear("the trainable weights are float32")
        return
    rows = [
        r for r in case.metrics if r.get("half_precision") and r.get("unchanged_elements") is not None and (r.get("lr") or 0) > 0
    ]
    shares = [float(r["unchanged_elements"]) for r in rows]
    if len(shares) < 5:
        yield Skip("too few updates of half-precision weights were measured", "run more steps")
        return
    typical = median(shares)
    if typical < share:
        yield Clear(f"{typical:.0%} of half-precision elements with a gradient stay unchanged in a step")
        return
    dtype = half[0]["dtype"]
    site = commonest_site(o for o in case.model.get("optimizers", []) if o.get("site"))
    yield Finding(
        title=f"updates are lost in {dtype}: {typical:.0%} of the weights with a gradient do not change in a step, because "
        f"the update rounds away",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence(
                "elements with gradient that a step leaves unchanged (median)", round(typical, 4), f"< {share}", "metrics.jsonl"
            ),
            Evidence("trainable tensors in half precision", len(half)),
        ),
        location=Location.of(_cast(case) or site),
        onset_step=0,
        fix=Fix(
            "Keep the weights in float32 and run the forward under torch.autocast, or use an optimizer with stochastic rounding."
        ),
    )


def _cast(case: Case) -> dict | None:
    """Where the weights were made half precision: model.bfloat16(), model.half(), or model.to(…) with such a dtype."""
    words = ("bfloat16", "float16", "dtype")
    cast = first_call(
        case, "to", where=lambda node: any(w in ast.unparse(a) for a in (*node.args, *node.keywords) for w in words)
    )
    return first_call(case, "bfloat16", "half") or cast

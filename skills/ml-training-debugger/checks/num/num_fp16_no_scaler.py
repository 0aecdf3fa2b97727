"""float16 without loss scaling: small gradients become zero."""

from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import calls
from cognate.rules.training import commonest_site, parameters


def _parts(lost: float) -> dict:
    result = {"dtype": "float16", "autocast": True, "elements": 1000, "lost": lost, "nonfinite": 0, "worst": {"a.weight": lost}}
    call = {"kind": "call", "name": "backward", "site": {"file": "t.py", "line": 30, "function": "train"}}
    return {
        "probes": [{"probe": "precision", "step": 2, "status": "ok", "result": result}],
        "events": [call | {"step": s, "n": s} for s in range(6)],
        "metrics": [{"step": s, "loss": 1.0, "zero_gradients": lost} for s in range(8)],
    }


@rule(
    code="NUM123",
    name="num-fp16-no-scaler",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"probe.precision"},
    explains={
        "loss-not-decreasing",
        "grad-vanishing",
        "opt-lr-too-low",
        "opt-step-no-effect",
        "grad-none-or-zero-param",
        "num-bf16-update-lost",
    },
    sources={
        "share": "taxonomy, num-fp16-no-scaler: more than 20 % of the gradient's elements are exactly zero for lack of range"
    },
    fires=Example(**_parts(0.6)),
    quiet=Example(**_parts(0.001)),
)
def num_fp16_no_scaler(case: Case, *, share: float = 0.2) -> Iterator[Said]:
    """float16 is used without a GradScaler: gradients below its smallest number become zero, and those weights never learn.

    float16 ends at 6e-8. Backward in it loses what lies below, in the early layers first; multiplying the loss by a scale and
    dividing the gradients by it again, as `torch.amp.GradScaler` does, brings them back. bfloat16 has the range of float32 and
    needs none. Proved by computing the same gradients once more in float32: only what is lost between the two counts, not zeros
    of a ReLU or of unseen embedding rows.
    """
    results = [row["result"] for row in case.probe("precision")]
    half = [result for result in results if result.get("dtype") == "float16"]
    if not half:
        yield Clear(f"the model computes in {results[-1].get('dtype')}, which has the range of float32")
        return
    if case.calls.get("scaler_step") or case.events("scaler"):
        yield Clear("float16 under a GradScaler")
        return
    lost = float(half[-1]["lost"])
    if lost <= share:
        yield Clear(f"float16 without a GradScaler loses {lost:.1%} of the gradient's elements")
        return
    zeros = [float(row["zero_gradients"]) for row in case.metrics if row.get("zero_gradients") is not None]
    if not zeros:
        yield Skip("the gradients of the run itself were not seen", "")
        return
    site = _place(case)
    yield Finding(
        title=f"float16 without a GradScaler: {lost:.0%} of the gradient's elements that float32 keeps become zero",
        proof=Proof.EXPERIMENT,
        evidence=(
            Evidence("gradient elements lost to float16", f"{lost:.1%}", f"≤ {share:.0%}", "probe precision"),
            Evidence("lost most in", ", ".join(half[-1].get("worst", {}))),
            Evidence("zeros in the run's own gradients (median)", round(median(zeros), 3), "", "metrics.jsonl"),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix(
            "Use bfloat16, or float32 weights under autocast with a loss scale.",
            ("scaler = torch.amp.GradScaler()", "scaler.scale(loss).backward(); scaler.step(optimizer); scaler.update()"),
        ),
    )


def _place(case: Case) -> dict | None:
    """Where float16 is asked for, else where backward is called."""
    asked = [
        {"file": file, "line": node.lineno}
        for file, node, name in calls(case)
        if name == "half" or (name in ("autocast", "to") and any("float16" in _text(a) for a in (*node.args, *node.keywords)))
    ]
    if len(asked) == 1 or (asked and any(p.get("dtype") == "float16" for p in parameters(case))):
        return asked[0]
    return commonest_site(case.events("call", name="backward"))


def _text(node: object) -> str:
    import ast

    text = ast.unparse(node)  # type: ignore[arg-type]
    return "" if "bfloat16" in text else text

"""A logarithm or root of something that can be zero made the loss non-finite."""

from collections.abc import Iterator

from cognate.case.curves import loss_series
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.birth import Birth, birth, broken, masked, ran_away, zero_norm
from cognate.rules.flow import RESHAPES, flows
from cognate.rules.training import where

_SITE = {"file": "t.py", "line": 22, "function": "loss"}
RISKY = {
    "log": ("softmax", "sigmoid", "relu", "exp", "mul", "sub", "rsub"),
    "sqrt": ("sum", "mean", "pow", "var", "mul"),
    "div": (),
}


def _parts(value: object) -> dict:
    trace = [
        {"w": 1, "i": 0, "op": "softmax", "in": [], "ig": True, "g": True, "site": _SITE},
        {"w": 1, "i": 1, "op": "log", "in": [0], "ig": True, "g": True, "site": _SITE},
        {"w": 1, "root": 1, "nodes": 2},
    ]
    metrics = [{"step": s, "loss": 1.0} for s in range(10)] + [
        {"step": 10, "loss": value, "nonfinite": {"loss": "nan"} if value is None else {}}
    ]
    return {"trace": trace, "metrics": metrics}


@rule(
    code="NUM103",
    name="num-unstable-expression",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"trace", "metrics.loss"},
    explains={
        "loss-nonfinite",
        "loss-not-decreasing",
        "num-fp16-scale-collapse",
        "loss-diverging",
        "grad-exploding",
        "opt-lr-too-high",
    },
    sources={},
    fires=Example(**_parts(None)),
    quiet=Example(**_parts(0.9)),
)
def num_unstable_expression(case: Case) -> Iterator[Said]:
    """An unstable expression makes the loss NaN: log of a probability that reaches zero, or a root at zero, without epsilon.

    log(softmax(x)) and log(sigmoid(x)) underflow to log(0); the gradient of sqrt at zero is infinite. Use log_softmax,
    logsigmoid, cross_entropy, or clamp and add an epsilon. Reported as a cause only where the loss did become non-finite.
    """
    losses = loss_series(case)
    if not broken(case) or losses is None:
        yield Clear("the loss stayed finite")
        return
    born = birth(case)
    if born is not None:
        runaway = ran_away(case, born.step)
        if masked(born) or zero_norm(born) or born.op not in REASONS or runaway:
            yield Clear(runaway or f"the first non-finite number came from `{born.op}`, which is judged by its own rule")
        else:
            yield _located(born)
        return
    if case.events("onset") and not case.events("onset")[0].get("nonfinite_weights"):
        yield Clear("the first non-finite number came from elsewhere")
        return
    for graph in flows(case):
        for node in graph.find(lambda n: n["op"] in ("log", "sqrt") and n.get("g", False)):
            made = graph.producer(node, RESHAPES)
            if made is None or made["op"] not in RISKY[node["op"]]:
                continue
            onset = next((step for step, v in zip(losses.steps, losses.values, strict=True) if v is None), 0)
            if ran_away(case, onset):
                continue
            yield Finding(
                title=f"`{node['op']}` of `{made['op']}` at {where(node.get('site'))} has no epsilon: it reaches "
                f"{node['op']}(0) and makes "
                "the loss non-finite",
                proof=Proof.INFERENCE,
                evidence=(
                    Evidence("operation before it", made["op"], "clamped away from 0", f"trace.jsonl, step {node['w']}"),
                    Evidence("first non-finite loss at step", onset),
                ),
                location=Location.of(node.get("site")),
                onset_step=onset,
                fix=Fix("Use the fused form (log_softmax, logsigmoid, cross_entropy), or clamp the argument: x.clamp_min(1e-8)."),
            )
            return
    yield Clear("no unguarded logarithm or root was seen in the traced steps")


REASONS = {
    "log": "a logarithm of zero or less",
    "log2": "a logarithm of zero or less",
    "log10": "a logarithm of zero or less",
    "log1p": "a logarithm of zero or less",
    "sqrt": "a root of something negative, or of zero, where its derivative is infinite",
    "rsqrt": "one over the root of zero",
    "div": "a division by zero",
    "reciprocal": "one over zero",
    "pow": "a power of zero or of something negative",
    "exp": "an exponential beyond the largest number",
    "expm1": "an exponential beyond the largest number",
    "cosh": "an exponential beyond the largest number",
    "acos": "an inverse cosine at or beyond 1, where its derivative is infinite",
    "asin": "an inverse sine at or beyond 1, where its derivative is infinite",
    "atanh": "an inverse tangent at or beyond 1",
    "logsumexp": "a sum of exponentials of nothing finite",
    "binary_cross_entropy": "a probability outside 0 to 1",
}
FIXES = {
    "exp": "Clamp the argument of exp, or use a form without it (logsigmoid, softplus, logsumexp, log_softmax).",
    "sqrt": "Add an epsilon under the root: torch.sqrt(x + 1e-8).",
    "div": "Clamp the denominator away from zero: x / y.clamp_min(1e-8).",
}
FIX = "Use the fused form (log_softmax, logsigmoid, cross_entropy, kl_div, xlogy), or clamp the argument: x.clamp_min(1e-8)."


def _located(born: Birth) -> Finding:
    facts = born.facts
    given = [Evidence("range of what it was given", [facts["min"], facts["max"]])] if "min" in facts else []
    share = facts.get("share") or facts.get("nan") or facts.get("inf")
    verb = (
        "makes the first non-finite values"
        if born.phase == "forward"
        else "has an infinite derivative, so the gradients become NaN"
    )
    return Finding(
        title=f"`{born.op}` at {where(born.site)} {verb} at step {born.step}: {REASONS[born.op]} makes the loss NaN",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("share of its elements for which that holds", share, "0", f"step {born.step}"),
            *given,
            Evidence("weights and inputs before it", "finite"),
        ),
        location=Location.of(born.site, born.module),
        onset_step=born.step,
        fix=Fix(FIXES.get(born.op, FIX)),
    )

"""Padding influences the outputs of real tokens."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.flow import flows
from cognate.rules.source import first_call
from cognate.rules.training import modules, number


def _probe(moved: float) -> dict:
    result = {"moved": moved, "scale": 1.0, "pad": 0, "padded_share": 0.4}
    return {"probe": "padding_influence", "status": "ok", "step": 2, "module": "Encoder", "result": result}


@rule(
    code="MODEL107",
    name="model-padding-attended",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"probe.padding_influence"},
    explains={"loss-not-decreasing", "eval-overfit"},
    sources={
        "delta": "taxonomy, model-padding-attended: 1e-4; a fiftieth of the outputs' scale leaves border effects of "
        "convolutions out",
    },
    fires=Example(probes=[_probe(0.3)]),
    quiet=Example(probes=[_probe(0.0)]),
)
def model_padding_attended(case: Case, *, delta: float = 0.02) -> Iterator[Said]:
    """Padding is attended: the padding mask is not passed, so outputs of real tokens change with the amount of padding.

    Attention without key_padding_mask (or attention_mask), a mean or last step taken over padded positions, a recurrent layer
    that reads on through the padding: the result of a sample then depends on the longest one in its batch.
    """
    found = case.probe("padding_influence")
    wrong = [p for p in found if (p["result"]["moved"] or 0.0) > delta * max(p["result"].get("scale") or 1.0, 1e-3)]
    if not wrong:
        yield Clear(f"three more padding tokens move the real outputs by {number(found[-1]['result']['moved'])}")
        return
    result = wrong[0]["result"]
    attends = any(n["op"] in ATTENTION for graph in flows(case) for n in graph.nodes) or not case.trace
    recurrent = any(m.get("cls") in ("GRU", "LSTM", "RNN", "GRUCell", "LSTMCell") for m in modules(case).values())
    yield Finding(
        # Simple models live well with a mean or a recurrent layer over padded rows; attention to padding is a mistake.
        severity=None if attends and not recurrent else Severity.INFO,
        title=f"padding is attended: three more padding tokens (id {result['pad']}) change the outputs of real tokens, no "
        f"padding mask is in "
        "effect",
        proof=Proof.EXPERIMENT,
        evidence=(
            Evidence(
                "largest change of an output at a real token or row", result["moved"], "0", f"probe, step {wrong[0]['step']}"
            ),
            Evidence("scale of the outputs", result["scale"]),
            Evidence("share of padding in the batch", round(result["padded_share"], 3)),
        ),
        location=Location.of(_place(case)),
        onset_step=0,
        fix=Fix(
            "Pass key_padding_mask=(tokens == pad) to the attention, and leave padded positions out of means and last steps."
        ),
    )


ATTENTION = ("softmax", "multi_head_attention_forward", "scaled_dot_product_attention")


def _place(case: Case) -> dict | None:
    """The first traced attention, else the first layer or reduction in the source that can take padding in."""
    for graph in flows(case):
        for node in graph.nodes:
            if node["op"] in ATTENTION[1:] and node.get("site"):
                site: dict = node["site"]
                return site
    return first_call(case, "softmax", "MultiheadAttention", "TransformerEncoderLayer", "mean", "GRU", "LSTM")

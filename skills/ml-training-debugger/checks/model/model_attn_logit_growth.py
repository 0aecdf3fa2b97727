"""Attention scores are so large that the softmax picks a single place."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import Flow, Node, flows
from cognate.rules.training import number, short, where

FUSED = ("scaled_dot_product_attention", "multi_head_attention_forward")
PRODUCTS = {"matmul", "__matmul__", "bmm", "einsum"}
NEAR = 4  # operations between a softmax and the product with the values


def _trace(most: float, top: float) -> list[dict]:
    rows: list[dict] = []
    for window, factor in ((1, 1.0), (40, 1.5)):
        soft = {"rows": 500, "top": top, "entropy": 1 - top, "most": most * factor}
        node = {
            "w": window,
            "i": 0,
            "op": "scaled_dot_product_attention",
            "in": [],
            "shapes": [],
            "shape": [4, 2, 16, 8],
            "g": True,
        }
        site = {"file": "model.py", "line": 30, "function": "forward"}
        rows += [node | {"m": "blocks.0.attn", "soft": soft, "site": site}, {"w": window, "root": 0}]
    return rows


@rule(
    code="MODEL125",
    name="model-attn-logit-growth",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"trace"},
    explains={
        "loss-not-decreasing", "loss-diverging", "loss-plateau", "grad-exploding", "grad-vanishing", "model-init-variance",
        "opt-lr-too-low", "opt-lr-too-high",
    },
    sources={
        "most": "taxonomy, model-attn-logit-growth: a largest score above 50 that doubles (our proposal there)",
        "top": "our calibration: at the second step programs give their first place 0.06 to 0.3 of a row on average",
        "growth": "taxonomy, model-attn-logit-growth: doubling",
        "rows": "our calibration: with fewer rows the mean is that of a few of them",
    },
    fires=Example(trace=_trace(80.0, 0.97)),
    quiet=Example(trace=_trace(2.0, 0.3)),
)  # fmt: skip
def model_attn_logit_growth(
    case: Case, *, most: float = 30.0, top: float = 0.8, growth: float = 2.0, rows: int = 32
) -> Iterator[Said]:
    """Attention logits are so large that attention is one-hot: the softmax has no slope, and queries and keys stop learning.

    From the start it is a matter of scale: no division by the root of the head's width, a product with it, or weights that start
    too wide. In the course of training, logits that double and double precede a divergence (remedies: query-key normalisation,
    a lower rate, clipping). Sharp heads with moderate logits, which trained models have, are healthy.
    """
    series: dict[tuple, list[Node]] = {}
    for graph in flows(case):
        for node in graph.nodes:
            soft = node.get("soft")
            if soft and soft.get("rows", 0) >= rows and "most" in soft and _attends(graph, node):
                site = node.get("site") or {}
                series.setdefault((node.get("m"), site.get("file"), site.get("line")), []).append(node)
    if not series:
        yield Skip("no attention was traced", "")
        return
    found = []
    for nodes in series.values():
        first, last = nodes[0]["soft"], max(nodes, key=lambda n: n["soft"]["most"])["soft"]
        born = nodes[0]["w"] <= 1 and first["top"] > top and first["most"] > most
        grown = last["most"] > 50.0 and last["most"] > growth * first["most"] and last["top"] > top
        if born or grown:
            found.append((born, nodes, last))
    if not found:
        highest = max(node["soft"]["most"] for nodes in series.values() for node in nodes)
        yield Clear(f"largest attention logit {number(highest)} in {len(series)} attentions over the traced windows")
        return
    born, nodes, last = max(found, key=lambda item: (item[0], item[2]["most"]))
    site, first = nodes[0].get("site"), nodes[0]["soft"]
    when = (
        f"from the start: logits up to {number(first['most'])}"
        if born
        else f"in training: logits grew from {number(first['most'])} to {number(last['most'])}"
    )
    yield Finding(
        title=f"attention at {where(site)} is one-hot {when}, one place gets {first['top'] if born else last['top']:.0%} of "
        f"a row on average",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("largest logit, by traced step", {n["w"]: float(f"{n['soft']['most']:.4g}") for n in nodes}, f"< {most}"),
            Evidence("mean of the rows' largest weight", {n["w"]: round(n["soft"]["top"], 3) for n in nodes}, f"< {top}"),
            Evidence("attentions concerned", short(sorted(str(n[0].get("m")) for _, n, _ in found))),
        ),
        location=Location.of(site, nodes[0].get("m")),
        onset_step=0 if born else next(int(n["w"]) for n in nodes if n["soft"]["most"] > growth * first["most"]),
        severity=Severity.ERROR if born else Severity.WARNING,
        fix=Fix(
            "Scale the logits by 1/√head width (the default of scaled_dot_product_attention)."
            if born
            else "Normalise queries and keys, or lower the learning rate and clip gradients."
        ),
    )


def _attends(graph: Flow, node: Node) -> bool:
    """Whether the weights are used to mix values: a softmax over classes goes elsewhere."""
    if node["op"] in FUSED:
        return True
    edge = [node["i"]]
    for _ in range(NEAR):
        edge = [user for index in edge for user in graph.users.get(index, ())]
        if any(graph.nodes[index]["op"] in PRODUCTS for index in edge):
            return True
    return False

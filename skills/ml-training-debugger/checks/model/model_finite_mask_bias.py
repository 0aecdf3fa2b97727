"""A mask made with a number that the scores can reach."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import Flow, Node, flows
from cognate.rules.training import number, where


def _trace(value: float, left: float) -> list[dict]:
    site = {"file": "model.py", "line": 20, "function": "forward"}
    masked = {"value": value, "how": "filled", "at": 0, "left": left, "left_mean": left / 2}
    fill = {
        "w": 1,
        "i": 0,
        "op": "masked_fill",
        "in": [],
        "shapes": [[4, 2, 8, 8]],
        "shape": [4, 2, 8, 8],
        "g": True,
        "site": site,
    }
    soft = {"w": 1, "i": 1, "op": "softmax", "in": [0], "shapes": [[4, 2, 8, 8]], "shape": [4, 2, 8, 8], "g": True}
    return [fill, soft | {"soft": {"rows": 40, "top": 0.4, "entropy": 0.8, "most": 3.0, "masked": masked}}, {"w": 1, "root": 1}]


@rule(
    code="MODEL120",
    name="model-finite-mask-bias",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"trace"},
    explains={"model-future-leak", "model-padding-attended", "eval-teacher-forcing-gap", "data-packing-leak"},
    sources={
        "left": "our calibration: -1e4 and below leave exactly 0 beside usual scores, -10 leaves 1e-3; 1e-4 lies between",
        "heavy": "our calibration: one hundredth of a row's weight at masked places is enough to read them",
    },
    fires=Example(trace=_trace(0.0, 0.9)),
    quiet=Example(trace=_trace(-1e9, 0.0)),
)
def model_finite_mask_bias(case: Case, *, left: float = 1e-4, heavy: float = 1e-2) -> Iterator[Said]:
    """Masked places still get weight: the mask's number does not lie far enough below the scores for the softmax to ignore it.

    A zero in place of minus infinity is an ordinary score; so is a product with zeros before the softmax, or 1e-9 where -1e9 was
    meant; -10 is overcome as soon as the scores grow. Measured in the traced windows, by what the softmax leaves at masked places
    of rows that have others. A large negative number that leaves nothing is fine.
    """
    looked = [(graph, node) for graph in flows(case) for node in graph.nodes if "soft" in node]
    masked = [(graph, node) for graph, node in looked if node["soft"].get("masked")]
    if not looked:
        yield Skip("no softmax over places was traced", "")
        return
    guilty: dict[tuple, list[tuple[Flow, Node]]] = {}
    for graph, node in masked:
        if node["soft"]["masked"]["left"] > left:
            place = _site(graph, node) or {}
            guilty.setdefault((place.get("file"), place.get("line")), []).append((graph, node))
    if not guilty:
        some = f"; finite masks leave at most {number(max(n['soft']['masked']['left'] for _, n in masked))}" if masked else ""
        yield Clear(f"{len(looked)} softmaxes were traced, {len(masked)} of them masked by a number{some}")
        return
    for found in guilty.values():
        graph, node = max(found, key=lambda pair: pair[1]["soft"]["masked"]["left_mean"])
        mask, site = node["soft"]["masked"], _site(graph, node)
        how = {"filled": f"filled with {number(mask['value'])}", "added": f"moved by {number(mask['value'])}"}.get(
            mask["how"], "multiplied by zero, which makes their score 0"
        )
        yield Finding(
            title=f"the attention mask at {where(site)} does not mask: masked places are {how}, and the softmax still gives them "
            f"up to {mask['left']:.2%} of a row's weight ({mask['left_mean']:.2%} on average)",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence("largest share of a row at masked places", mask["left"], f"≤ {left}", f"trace.jsonl, step {node['w']}"),
                Evidence("number at masked places", mask["value"], "-inf, or far below every score"),
                Evidence("largest open score", node["soft"].get("most")),
            ),
            location=Location.of(site, node.get("m")),
            onset_step=int(found[0][1]["w"]) if found[0][1]["w"] > 1 else 0,
            severity=Severity.ERROR if mask["left_mean"] >= heavy else Severity.WARNING,
            fix=Fix(
                "Fill masked places with float('-inf') (or torch.finfo(scores.dtype).min where a whole row may be masked) before "
                "the softmax, or pass a boolean mask or is_causal=True to scaled_dot_product_attention."
            ),
        )


def _site(graph: Flow, node: Node) -> dict | None:
    """The operation that masks; the softmax itself where that has no line of its own."""
    return graph.nodes[node["soft"]["masked"]["at"]].get("site") or node.get("site")

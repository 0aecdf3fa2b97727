"""A next-token model sees the future."""

import ast
import re
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.flow import COMPARISONS, Flow, Node, flows
from cognate.rules.places import literal_of
from cognate.rules.source import Site, called, class_named, first_call, made_at
from cognate.rules.training import number, short


def _probe(before: float) -> dict:
    row = {"t": 7, "before": before, "after": 2.0, "scale": 0.5}
    result = {"offset": 1, "time": 32, "before": before, "after": 2.0, "scale": 0.5, "modes": {"eval": [row]}}
    if before:
        result["leaking_modules"] = [{"name": "blocks.0.attn", "cls": "Attention"}]
    return {"probe": "causality", "status": "ok", "step": 2, "result": result}


@rule(
    code="MODEL101",
    name="model-future-leak",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"probe.causality"},
    explains={"eval-teacher-forcing-gap", "loss-no-shift", "model-padding-attended"},
    core=True,
    sources={
        "delta": "taxonomy, model-future-leak: 1e-5 in fp32; ten times that, relative to the scores' scale, for fused kernels"
    },
    fires=Example(probes=[_probe(0.12)]),
    quiet=Example(probes=[_probe(0.0)]),
)
def model_future_leak(case: Case, *, delta: float = 1e-4) -> Iterator[Said]:
    """Future tokens leak: a prediction changes when a later token changes, so the model is not causal and can copy the answer.

    Next-token training then rewards looking ahead: the loss falls far below what the data allows, and generation, where the
    future is unknown, fails. Usual places: a missing causal mask, a symmetric attention window, an unmasked cross-attention, a
    convolution padded on both sides, a bidirectional recurrent layer. Asked only where the targets are the input shifted in time.
    """
    leaks = [
        p for p in case.probe("causality") if (p["result"]["before"] or 0.0) > delta * max(1.0, p["result"].get("scale") or 1.0)
    ]
    if not leaks:
        result = case.probe("causality")[-1]["result"]
        yield Clear(
            f"scores up to t moved by {number(result['before'])} when later tokens changed, those after t by "
            f"{number(result['after'])}"
        )
        return
    result = leaks[0]["result"]
    # One finding a kind of module: four blocks with the same attention have one fault, two different doors have two.
    kinds: dict[str, list[str]] = {}
    for module in result.get("leaking_modules") or [{"name": "", "cls": leaks[0].get("module", "the model")}]:
        kinds.setdefault(_kind(case, module), []).append(module["name"])
    for cls, names in kinds.items():
        yield _finding(case, cls, names, leaks[0])


def _kind(case: Case, module: dict) -> str:
    """The class that holds the fault: a library's attention is used wrongly by the first-party module around it."""
    return module["cls"] if class_named(case, module["cls"]) else f"{module['cls']} {re.sub(r'[0-9]+', '#', module['name'])}"


def _finding(case: Case, kind: str, names: list[str], leak: dict) -> Finding:
    result, cls = leak["result"], kind.split(" ")[0]
    site, what = _place(case, {"name": names[0], "cls": cls})
    inside = f"{cls} ({short([n for n in names if n])})" if any(names) else cls
    return Finding(
        title=f"future tokens leak through {inside}: predictions change when later tokens change, the {what} is not causal",
        proof=Proof.EXPERIMENT,
        evidence=(
            Evidence(
                "largest change of a scored prediction before the changed token",
                result["before"],
                "0",
                f"probe causality, step {leak.get('step')}",
            ),
            Evidence("change after it (the token does matter)", result["after"], "above 0"),
            Evidence("run by itself on inputs equal up to t, its output differs up to t", short(names) or cls, "no module"),
            Evidence("seen in modes", ", ".join(sorted(result.get("modes", {})))),
        ),
        location=Location.of(site, names[0] or None),
        onset_step=0,
        fix=Fix(
            f"Mask the future in {cls}: allow position i to see only j ≤ i (is_causal=True, or torch.tril, or "
            "0 ≤ i - j ≤ window), in every attention, cross-attention and convolution of the decoder."
        ),
    )


MASKING = ("masked_fill", "scaled_dot_product_attention", "where", "softmax", "conv1d", "multi_head_attention_forward")


def _place(case: Case, module: dict) -> tuple[dict | None, str]:
    """The line where the leaking module masks, attends or convolves: from the trace, else from its source."""
    name = module.get("name", "")
    for graph in flows(case):
        for operation in MASKING:
            # Operations of a module carry its dotted name, or that of a child.
            for node in [n for n in graph.nodes if n["op"] == operation]:
                where = str(node.get("m", ""))
                if node.get("site") and (where == name or where.startswith(f"{name}.") or where == module.get("cls")):
                    kind = "convolution" if operation == "conv1d" else "attention"
                    if kind == "convolution":
                        return made_at(case, node["site"], "Conv1d", used_as="conv1d"), kind
                    return _mask_made(graph, node) or node["site"], kind
    found = class_named(case, module.get("cls", ""))
    if found:
        file, definition = found
        for call in ast.walk(definition):
            if isinstance(call, ast.Call) and called(call) in ("masked_fill", "scaled_dot_product_attention", "softmax"):
                return {"file": file, "line": call.lineno, "function": definition.name}, "attention"
        return {"file": file, "line": definition.lineno, "function": definition.name}, "layer"
    # A library's layer: it is right by itself and wrong for this task where it is built (a bidirectional recurrence, say).
    cls = module.get("cls", "")
    both_ways = first_call(case, cls, where=lambda node: any(k.arg == "bidirectional" for k in node.keywords))
    if not both_ways and cls in ("LSTM", "GRU", "RNN"):
        both_ways = literal_of(case, ("bidirectional",), True)
    return both_ways or first_call(case, cls), "layer"


def _mask_made(graph: Flow, applied: Node) -> Site | None:
    """Where the mask that `applied` uses was computed: a mask that lets the future in is wrong there, not where it is applied.

    A fill that is not far below every score leaves the masked positions in, whatever the mask: then the fill is to blame.
    """
    fill = float(applied.get("a", {}).get("value", "-inf"))
    if applied["op"] not in ("masked_fill", "where", "scaled_dot_product_attention") or fill > -1e4:
        return None
    waiting = list(applied.get("in", ()))
    while waiting:
        source = graph.nodes[waiting.pop(0)]
        if source.get("g") or source.get("ig"):
            continue  # scores, queries, keys and values: no mask
        if source["op"] in (*COMPARISONS, "tril", "triu") and source.get("site"):
            return source["site"]  # type: ignore[no-any-return]
        waiting.extend(source.get("in", ()))
    return None

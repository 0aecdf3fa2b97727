"""A sample's output depends on its neighbours in the batch."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.flow import Node, flows
from cognate.rules.source import first_call
from cognate.rules.training import number, short, where

# Operations that join the entries of the dimension they are given.
JOINING = ("mean", "sum", "softmax", "log_softmax", "std", "var", "cumsum", "cumprod", "logsumexp", "amax", "max")


def _probe(others: float) -> dict:
    result = {"batch": 16, "others": others, "own": 0.5, "scale": 0.3, "samples_moved": 15 if others else 0}
    return {"probe": "batch_independence", "status": "ok", "step": 2, "module": "Net", "result": result}


@rule(
    code="MODEL103",
    name="model-batch-mixing",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"probe.batch_independence"},
    explains={"loss-not-decreasing", "data-input-label-misaligned", "eval-overfit"},
    core=True,
    sources={"delta": "taxonomy, model-batch-mixing: 1e-5; ten times that, relative to the outputs' scale, for fused kernels"},
    fires=Example(probes=[_probe(0.2)]),
    quiet=Example(probes=[_probe(0.0)]),
)
def model_batch_mixing(case: Case, *, delta: float = 1e-4) -> Iterator[Said]:
    """Examples are mixed across the batch: one sample's output changes when another sample of the batch changes.

    Tested in evaluation mode, where batch normalisation does not mix. Usual places: a view or reshape where a transpose is meant,
    batch_first forgotten in a recurrent or transformer layer, a softmax or mean over dimension 0.
    """
    found = case.probe("batch_independence")
    wrong = [p for p in found if (p["result"]["others"] or 0.0) > delta * max(p["result"].get("scale") or 1.0, 1e-3)]
    hidden = [p for p in found if p["result"].get("inside")]
    if not wrong and hidden:
        yield _hidden(case, hidden[0])
        return
    if not wrong:
        yield Clear(f"the other samples moved by {number(found[-1]['result']['others'])} when one sample changed")
        return
    result = wrong[0]["result"]
    joining, site = _over_batch(case, result["batch"]), _swapped(case) or _layout(case)
    traced = joining if site is None else None
    site = site or (joining or {}).get("site") or first_call(case, "view", "reshape")
    yield Finding(
        title=f"{wrong[0].get('module', 'the model')} mixes examples across the batch: changing one sample changes the "
        f"outputs of "
        f"{result.get('samples_moved')} of {result['batch'] - 1} others",
        proof=Proof.EXPERIMENT,
        evidence=(
            Evidence("largest change of another sample's output", result["others"], "0", f"probe, step {wrong[0]['step']}"),
            Evidence("change of the sample's own output", result["own"]),
            *_traced(traced),
        ),
        location=Location.of(site, traced.get("m") if traced else None),
        onset_step=0,
        fix=Fix(
            "Keep dimension 0 for the batch: transpose instead of view, batch_first=True, softmax and mean over the last "
            "dimensions.",
            (f"Begin with `{traced['op']}` at {where(traced['site'])}.",) if traced else (),
        ),
    )


def _hidden(case: Case, probe: dict) -> Finding:
    """Mixing that reaches no output, because what is mixed is the same for every sample."""
    module = probe["result"]["inside"][0]
    site = _swapped(case) or _layout(case) or first_call(case, "view", "reshape")
    return Finding(
        title=f"{module['cls']} {module['name']} mixes examples across the batch, and no output depends on its own sample",
        proof=Proof.EXPERIMENT,
        evidence=(
            Evidence(
                "modules that turn a change of one sample into a change of others",
                short([m["name"] for m in probe["result"]["inside"]]),
                "none",
                f"probe, step {probe['step']}",
            ),
            Evidence("change of the sample's own output", probe["result"]["own"], "above 0"),
        ),
        location=Location.of(site, module["name"]),
        onset_step=0,
        fix=Fix("Keep dimension 0 for the batch: batch_first=True, transpose instead of view, attention over the positions."),
    )


def _traced(node: Node | None) -> list[Evidence]:
    if node is None:
        return []
    what = f"`{node['op']}` joins samples of a tensor of shape"
    return [Evidence(what, node["shapes"][0], "dimension 0 kept", where(node["site"]))]


def _layout(case: Case) -> dict | None:
    """A recurrent or transformer layer that was built without batch_first."""
    layers = ("LSTM", "GRU", "RNN", "TransformerEncoderLayer", "TransformerDecoderLayer", "MultiheadAttention", "Transformer")
    return first_call(case, *layers, where=lambda node: not any(k.arg == "batch_first" for k in node.keywords))


def _swapped(case: Case) -> dict | None:
    """A view that keeps the lengths of the dimensions and changes their order: it mixes samples where a transpose would not."""
    for graph in flows(case):
        for node in graph.nodes:
            before, after = (node.get("shapes") or [[]])[0], node.get("shape") or []
            folded = node["op"] in ("view", "reshape") and "input0" in node.get("x", ()) and before[:1] != after[:1]
            if folded and len(before) > 2 and sorted(before) == sorted(after) and before[0] not in before[1:]:
                return node.get("site")
    return None


def _over_batch(case: Case, batch: int) -> Node | None:
    """The first traced operation of a forward that joins the samples along dimension 0, or folds the batch into another one."""
    for graph in flows(case):
        for node in graph.nodes:
            shape = (node.get("shapes") or [[]])[0]
            if not node.get("g") or not node.get("m") or not node.get("site") or len(shape) < 2 or shape[0] != batch:
                continue
            if node["op"] in JOINING and node.get("a", {}).get("dim") in (0, -len(shape)):
                return node
            out = node.get("shape", [])
            if node["op"] in ("view", "reshape") and out and out[0] != batch and batch not in out and out[0] % batch:
                return node
    return None

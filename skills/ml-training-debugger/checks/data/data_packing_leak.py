"""Documents that share a row see one another."""

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.flow import flows
from cognate.rules.source import Site, called, calls_at, first_call
from cognate.rules.training import number, train_losses


def _probe(later: float) -> list[dict]:
    result = {"told": "segments", "documents": 3.0, "later": later, "own": 2.0, "scale": 1.0}
    return [{"probe": "packing", "status": "ok", "step": 2, "result": result | {"boundaries_scored": 0.0, "scored": 0.95}}]


@rule(
    code="DATA127",
    name="data-packing-leak",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"probe.packing"},
    explains={"eval-overfit", "eval-val-better-than-train", "train-eval-gap"},
    sources={
        "moved": "taxonomy, data-packing-leak: largest change above 1e-4 in float32, here of the scores' own spread",
        "effect": "our calibration: kernels of half precision disagree by a thousandth of what a changed token changes",
    },
    fires=Example(probes=_probe(0.3)),
    quiet=Example(probes=_probe(0.0)),
)
def data_packing_leak(case: Case, *, moved: float = 1e-4, effect: float = 5e-3) -> Iterator[Said]:
    """Packed documents leak into one another: a prediction changes when a token of another document in the row changes.

    The model is told where documents begin and attends across all the same, so it learns from neighbours that it will not have at
    inference. Usual places: a causal mask without the block-diagonal part, a mask that is built and not applied. Parts
    whose boundary counts in the loss (a prompt and its answer, bars, lines of pixels) are one text; rows of which nothing is told
    are packed so on purpose.
    """
    probe = case.probe("packing")[-1]
    result = probe["result"]
    if result["boundaries_scored"] > 0.5:
        yield Clear("the step from one part of a row to the next counts in the loss: parts of one text, not documents")
        return
    if result["later"] <= max(moved * max(1.0, result["scale"]), effect * result["own"]):
        yield Clear(f"predictions move by {number(result['later'])} when a document before them in the row is replaced")
        return
    if _weak_fill(case):
        yield Clear("what leaks passes through a mask that is right: it is filled with a number that softmax does not suppress")
        return
    told = "segment numbers" if result["told"] == "segments" else "positions that begin anew"
    # Many recipes of pre-training accept the leak and reset the positions alone; none would also leave the boundaries unscored.
    strict = result["told"] == "segments" or result["scored"] < 0.9 or result["boundaries_scored"] < 0.1
    yield Finding(
        title=f"packed documents leak into one another: predictions change by {number(result['later'])} when another document of "
        f"the row is replaced, although the model is told where documents begin ({told})",
        proof=Proof.EXPERIMENT,
        severity=None if strict else Severity.WARNING,
        evidence=(
            Evidence(
                "largest change of a scored prediction in a later document",
                result["later"],
                "0",
                f"probe packing, step {probe['step']}",
            ),
            Evidence("change within the replaced document itself", result["own"], "above 0"),
            Evidence("documents in a row, on average", result["documents"]),
        ),
        location=Location.of(_mask(case) or _loss(case)),
        onset_step=0,
        fix=Fix(
            "Let a token attend only within its document: causal & (document[:, :, None] == document[:, None, :]), or a kernel "
            "for rows of several lengths (cu_seqlens)."
        ),
    )


def _weak_fill(case: Case) -> bool:
    """Whether scores are masked, right before their softmax, with a number that leaves the masked places in: another fault."""
    for graph in flows(case):
        for node in graph.find(lambda n: n["op"] in ("masked_fill", "masked_fill_") and bool(n.get("ig"))):
            value = float((node.get("a") or {}).get("value", "-inf"))
            if value > -1e3 and any(graph.nodes[user]["op"] == "softmax" for user in graph.users.get(node["i"], ())):
                return True
    return False


ATTENDS = ("masked_fill", "masked_fill_", "where", "scaled_dot_product_attention", "softmax")


def _mask(case: Case) -> Site | None:
    """The statement that sets what the attention masks with, by the name that it is applied under; else the attention."""
    traced = [n["site"] for graph in flows(case) for n in graph.nodes if n["op"] in ATTENDS and n.get("ig") and n.get("site")]
    for site in traced:
        names = {name for call in calls_at(case, site) for name in _applied(call)}
        for file in sorted(case.trees, key=lambda name: name != site["file"]):
            for node in ast.walk(case.trees[file]):
                if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id in names for t in node.targets):
                    return {"file": file, "line": node.lineno}
    return traced[0] if traced else first_call(case, "scaled_dot_product_attention", "masked_fill")


def _applied(node: ast.Call) -> set[str]:
    """Names of masks that the call applies: the first argument of masked_fill and where, `attn_mask`, `mask`."""
    given = [k.value for k in node.keywords if k.arg in ("attn_mask", "mask", "src_mask", "tgt_mask", "attention_mask")]
    if called(node) in ("masked_fill", "masked_fill_", "where") and node.args:
        given.append(node.args[0])
    return {part.id for value in given for part in ast.walk(value) if isinstance(part, ast.Name)} - {"torch", "self"}


def _loss(case: Case) -> Site | None:
    losses = train_losses(case)
    return losses[0].get("site") if losses else None

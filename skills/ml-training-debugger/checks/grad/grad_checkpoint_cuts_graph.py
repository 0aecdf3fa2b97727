"""Reentrant activation checkpointing of inputs without gradient leaves everything inside it untrained."""

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.flow import CUTS, flows
from cognate.rules.source import called, calls
from cognate.rules.training import short, starved, where

SHOWN = "None of the inputs have requires_grad=True"
SOURCE = "from torch.utils.checkpoint import checkpoint\nh = checkpoint(block, h, use_reentrant={})\n"
SWITCHES = ("gradient_checkpointing_enable", "checkpoint", "checkpoint_sequential")


def _case(reentrant: bool) -> dict:
    row = {"requires_grad": True, "shape": [4, 16], "optimizer": "optimizer#0", "windows": 9, "moved": not reentrant}
    names = ["blocks.0.lora_A", "blocks.0.lora_B", "head.weight"]
    grads = ["none", "none", "present"] if reentrant else ["present"] * 3
    rows = [row | {"name": name, "grad": grad} for name, grad in zip(names, grads, strict=True)]
    events = [{"kind": "warning", "step": 0, "n": 1, "text": f"{SHOWN}. Gradients will be None"}] if reentrant else []
    return {
        "model": {"roots": [{"cls": "Net", "parameters": rows}]},
        "events": events,
        "source": {"train.py": SOURCE.format(reentrant)},
    }


@rule(
    code="GRAD150",
    name="grad-checkpoint-cuts-graph",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"model", "source"},
    explains={
        "grad-none-or-zero-param", "grad-graph-broken", "grad-unintended-freeze", "opt-params-missing", "loss-not-decreasing",
        "loss-plateau", "opt-lr-too-low", "data-input-label-misaligned",
    },
    sources={"least": "known trap, step-0 artefacts: look after two effective steps"},
    fires=Example(**_case(True)),
    quiet=Example(**_case(False)),
)  # fmt: skip
def grad_checkpoint_cuts_graph(case: Case, *, least: int = 2) -> Iterator[Said]:
    """Reentrant checkpointing cuts the graph: its inputs need no gradient, so nothing inside the checkpoint ever gets one.

    torch.utils.checkpoint with use_reentrant=True runs the block without gradient and only comes back to it through its inputs.
    Below frozen embeddings (adapters, LoRA on a frozen base) no input leads back: the adapters stay as they were, the head
    alone learns, and torch says so in one warning. Checkpoints whose parameters do receive gradients are healthy.
    """
    hungry = starved(case, least)
    warned = [event for event in case.events("warning") if SHOWN in str(event.get("text", ""))]
    switches = _switches(case)
    if not hungry:
        used = f"activation checkpointing at {where(switches[0])}; " if switches else ""
        yield Clear(f"{used}every trainable tensor of the optimizer received a gradient")
        return
    cut = {p["name"]: place for p in hungry if (place := _cut(case, p["name"])) is not None}
    if not switches or not (warned or cut):
        yield Clear("no activation checkpoint stands between the tensors without gradient and the loss")
        return
    names = list(cut) or [p["name"] for p in hungry]
    site = switches[0]
    yield Finding(
        title=f"the reentrant checkpoint at {where(site)} cuts the graph: its inputs need no gradient, so {short(names)} inside "
        f"it never received one",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence(
                "trainable tensors in the optimizer with .grad None at every step looked at", len(hungry), "0", "model.json"
            ),
            Evidence("torch's warning", warned[0]["text"] if warned else "not shown", "none", "events.jsonl"),
            Evidence("run without gradient although parameters ask for it", where(next(iter(cut.values()), None))),
        ),
        location=Location.of(site, names[0].rpartition(".")[0] or None),
        onset_step=0,
        fix=Fix(
            "Use checkpoint(..., use_reentrant=False), or let the inputs require gradients (model.enable_input_require_grads() "
            "with a frozen Hugging Face base)."
        ),
    )


def _switches(case: Case) -> list[dict]:
    """Where activation checkpointing is turned on, and not in the way that needs no gradient from its inputs."""
    found = []
    for file, node, name in calls(case):
        enabled = name in SWITCHES or any(
            k.arg == "gradient_checkpointing" and isinstance(k.value, ast.Constant) and k.value.value is True
            for k in node.keywords
        )
        if enabled and called(node) != "enable_input_require_grads" and "'use_reentrant', False" not in _settings(node):
            found.append({"file": file, "line": node.lineno})
    return found


def _settings(node: ast.Call) -> str:
    """Keywords of the call and of dictionaries in it, as pairs of name and constant."""
    pairs = [(k.arg, getattr(k.value, "value", None)) for k in node.keywords]
    for inner in ast.walk(node):
        if isinstance(inner, ast.Dict):
            pairs += [
                (getattr(k, "value", None), getattr(v, "value", None)) for k, v in zip(inner.keys, inner.values, strict=True)
            ]
    return str(pairs)


def _cut(case: Case, parameter: str) -> dict | None:
    """Where an ordinary operation ran without gradient on this parameter."""
    for graph in flows(case):
        for node in graph.cuts(parameter):
            if node["op"] not in CUTS and node.get("site"):
                return dict(node["site"])
    return None

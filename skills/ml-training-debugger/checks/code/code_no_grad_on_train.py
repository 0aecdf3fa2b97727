"""Gradients are turned off where the training computes its loss."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import COMPARISONS, CUTS, flows
from cognate.rules.halting import is_halting
from cognate.rules.source import called
from cognate.rules.training import short, starved, where

_SITE = {"file": "t.py", "line": 8, "function": "forward"}
_SOURCE = """import torch
class Net(Module):
    def __init__(self):
        self.body, self.head = Linear(4, 4), Linear(4, 2)

    def forward(self, x):
        with torch.no_grad():
            h = self.body(x)
        return self.head(h)
"""
OFF = ("no_grad", "inference_mode")


def _parts(off: bool) -> dict:
    base = {"w": 1, "in": [], "ig": True, "site": _SITE}
    body = base | {"i": 0, "op": "linear", "p": ["body.weight"], "g": not off} | ({"off": True} if off else {})
    head = base | {"i": 1, "op": "linear", "p": ["head.weight"], "in": [0], "g": True}
    owned = {"requires_grad": True, "windows": 8, "optimizer": "optimizer#0"}
    parameters = [owned | {"name": "body.weight", "grad": "none" if off else "present"}]
    parameters.append(owned | {"name": "head.weight", "grad": "present"})
    trace = [body, head, {"w": 1, "root": 1, "nodes": 2}]
    return {"trace": trace, "model": {"roots": [{"cls": "Net", "parameters": parameters}]}, "source": {"t.py": _SOURCE}}


class Region(NamedTuple):
    """Lines of a file in which gradients are off: a `with` block, or a decorated function."""

    file: str
    line: int  # of the `with` or the decorator
    first: int
    last: int
    node: ast.AST
    what: str


@rule(
    code="CODE110",
    name="code-no-grad-on-train",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"source"},
    explains={
        "grad-graph-broken",
        "grad-none-or-zero-param",
        "loss-not-decreasing",
        "opt-weights-not-moving",
        "data-input-label-misaligned",
        "opt-lr-too-low",
    },
    sources={"least": "known trap, step-0 artefacts: re-check after two effective steps; three windows in a row are no warm-up"},
    fires=Example(**_parts(True)),
    quiet=Example(**_parts(False)),
)
def code_no_grad_on_train(case: Case, *, least: int = 3) -> Iterator[Said]:
    """Gradients are turned off on the training path: no_grad or inference_mode covers what the optimizer is meant to train.

    What is computed there is a constant for backward. Part of the model (or all of it, then backward raises) never learns while
    the optimizer owns it. Usual places: a block or a decorator left from an evaluation, set_grad_enabled(False) that nobody
    takes back. Teachers, target networks and frozen parts that no optimizer owns are left alone.
    """
    crash = _crashed(case)
    if crash is not None:
        yield crash
        return
    dead = [p for p in starved(case, least) if not is_halting(p["name"])]
    names = [p["name"] for p in dead]
    places = _traced(case, names) or _untraced(case, dead)
    if not places:
        if not case.events("forward") and not case.trace:
            yield Skip("no forward of a model was seen", "run a few steps of the training")
        else:
            yield Clear("gradients are on wherever the parameters of an optimizer are used in training")
        return
    lost, site, how, sure = places
    region = _region(case, site, how)
    if region is None and not sure:
        # Checkpointing, too, runs its forward without gradients; whether they come back is another question.
        yield Clear("no statement of the script turns gradients off on the training path")
        return
    at = {"file": region.file, "line": region.line} if region else site
    what = f"{region.what} at {where(at)}" if region else f"gradients are off at {where(site)}, which"
    kept = all(p.get("loaded") for p in dead if p["name"] in lost)
    yield Finding(
        title=f"{what} covers the training: {short(lost)} get no gradient although the optimizer is meant to train them",
        proof=Proof.MEASUREMENT,
        # Weights that were loaded may be meant to stay; then they are in the optimizer by habit.
        severity=Severity.WARNING if kept else None,
        evidence=(
            Evidence("parameters of an optimizer whose forward runs with gradients off", len(lost), "0", "trace.jsonl"),
            Evidence("operation or forward without gradients", where(site), "with gradients"),
            Evidence("their .grad in the steps looked at", "None", "a gradient", "model.json"),
        ),
        location=Location.of(at, lost[0].rpartition(".")[0] or None),
        onset_step=0,
        fix=Fix("Compute it with gradients: take no_grad off the training path and keep it around evaluation alone."),
    )


def _traced(case: Case, names: list[str]) -> tuple[list[str], dict | None, str, bool] | None:
    """The starved parameters that are used, or whose results are used, under no_grad; the first such operation."""
    for graph in flows(case):
        lost, first = [], None
        for name in names:
            cuts = [n for n in graph.cuts(name) if n.get("off") and n["op"] not in CUTS and n["op"] not in COMPARISONS]
            if cuts and not graph.reaches_root(name):
                lost.append(name)
                first = cuts[0] if first is None or cuts[0]["i"] < first["i"] else first
        if lost and first:
            return lost, first.get("site"), first.get("m") or "", False
    return None


def _untraced(case: Case, dead: list[dict]) -> tuple[list[str], dict | None, str, bool] | None:
    """A root whose own forwards, in the windows of the training, all ran with gradients off."""
    for cls in sorted({p["root"] for p in dead if p.get("root")}):
        forwards = [e for e in case.events("forward") if str(e.get("object", "")).endswith(f" {cls}")]
        training = [e for e in forwards if e.get("training")]
        off = [e for e in training if not e["grad"] or e.get("outputs_require_grad") is False]
        names = [p["name"] for p in dead if p["root"] == cls]
        if len({e["step"] for e in off}) >= 3 and len(off) == len(training) and names:
            return names, off[0].get("site"), cls if off[0]["grad"] else "", not off[0]["grad"]
    return None


def _crashed(case: Case) -> Finding | None:
    """backward raised because nothing in the loss requires a gradient, and the forward before it ran with gradients off."""
    crash = case.info.get("exception") or {}
    if "does not require grad and does not have a grad_fn" not in crash.get("message", ""):
        return None
    forwards = [e for e in case.events("forward") if e.get("training") or not case.events("forward", training=True)]
    if not forwards or (last := forwards[-1]).get("outputs_require_grad") is not False:
        return None
    cls = str(last.get("object", "")).rpartition(" ")[2]
    region = _region(case, last.get("site"), cls if last["grad"] else "")
    if region is None and last["grad"]:
        return None
    at = {"file": region.file, "line": region.line} if region else last.get("site")
    return Finding(
        title=f"{region.what if region else 'no_grad'} at {where(at)} covers the training: backward has no graph to go through",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("the exception", crash.get("message", "")[:120]),
            Evidence(f"the output of {cls} requires a gradient", "no", "yes", "events.jsonl"),
        ),
        location=Location.of(at),
        onset_step=0,
        fix=Fix("Run the training step with gradients: keep no_grad around evaluation alone."),
    )


def _regions(case: Case) -> Iterator[Region]:
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.With, ast.AsyncWith)):
                for item in node.items:
                    word = _turns_off(item.context_expr) or _sometimes(item.context_expr, tree)
                    if word:
                        yield Region(file, node.lineno, node.lineno, node.end_lineno or node.lineno, node, f"`with {word}`")
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for decorator in node.decorator_list:
                    word = _turns_off(decorator)
                    if word:
                        yield Region(file, decorator.lineno, node.lineno, node.end_lineno or node.lineno, node, f"`@{word}`")


def _turns_off(node: ast.AST) -> str | None:
    """The name under which an expression turns gradients off, or None."""
    call = node.func if isinstance(node, ast.Call) else node
    name = call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "")
    if name in OFF:
        return str(name)
    first = node.args[0] if isinstance(node, ast.Call) and node.args else None
    return "set_grad_enabled(False)" if name == "set_grad_enabled" and getattr(first, "value", None) is False else None


def _sometimes(node: ast.AST, tree: ast.AST) -> str | None:
    """The same for a condition, or for a name that was given such an expression: `ctx = no_grad() if freeze else …`."""
    if isinstance(node, ast.IfExp):
        return _turns_off(node.body) or _turns_off(node.orelse)
    if isinstance(node, ast.Name):
        for other in ast.walk(tree):
            if isinstance(other, ast.Assign) and any(getattr(t, "id", None) == node.id for t in other.targets):
                return _turns_off(other.value) or (_sometimes(other.value, tree) if isinstance(other.value, ast.IfExp) else None)
    return None


def _region(case: Case, site: dict | None, how: str) -> Region | None:
    """The block or decorator that turned gradients off at `site`: around the line, or around a call of what it belongs to.

    `how` is the path of the module whose forward was under way, or a class whose forward is decorated.
    """
    if not site:
        return None
    regions = list(_regions(case))
    around = [r for r in regions if r.file == site["file"] and r.first <= site["line"] <= r.last]
    if around:
        return max(around, key=lambda r: r.first)
    if any(called(n) == "checkpoint" for tree in case.trees.values() for n in ast.walk(tree) if isinstance(n, ast.Call)):
        return None
    parts = {p for p in how.split(".") if not p.isdigit()} | {site.get("function", "")} - {"", "<module>", "forward"}
    for region in regions:
        if any(isinstance(n, ast.Call) and called(n) in parts for n in ast.walk(region.node)):
            return region
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == how:
                inside = [r for r in regions if r.file == file and node.lineno <= r.line <= (node.end_lineno or 0)]
                if inside:
                    return inside[0]
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _turns_off(node.value):
                return Region(file, node.lineno, node.lineno, node.lineno, node, "`set_grad_enabled(False)`")
    return None

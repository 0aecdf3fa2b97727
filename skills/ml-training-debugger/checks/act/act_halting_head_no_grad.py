"""The halting head gets no gradient."""

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import COMPARISONS, CUTS, flows
from cognate.rules.halting import halting_parameters, is_halting
from cognate.rules.training import parameters, short, starved, where

_SITE = {"file": "model.py", "line": 35, "function": "steps_taken"}


def _parts(grad: str) -> dict:
    row = {"requires_grad": True, "windows": 8, "optimizer": "optimizer#0", "shape": [1, 8]}
    rows = [row | {"name": "halt.weight", "grad": grad}, row | {"name": "out.weight", "grad": "present"}]
    trace = [
        {"w": 1, "i": 0, "op": "linear", "in": [], "p": ["halt.weight"], "ig": True, "g": True, "shape": [4, 1]},
        {"w": 1, "i": 1, "op": "sigmoid", "in": [0], "ig": True, "g": True, "shape": [4, 1]},
        {"w": 1, "i": 2, "op": "gt", "in": [1], "ig": True, "g": False, "true": 0.5, "site": _SITE},
        {"w": 1, "root": None, "nodes": 3},
    ]
    return {"model": {"roots": [{"cls": "Reader", "parameters": rows}]}, "trace": trace}


@rule(
    code="ACT101",
    name="act-halting-head-no-grad",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"model"},
    explains={
        "grad-none-or-zero-param",
        "act-halt-saturate-max",
        "act-halt-collapse-min",
        "act-halted-state-mutates",
        "act-steps-constant",
        "grad-graph-broken",
    },
    core=True,
    sources={"least": "known trap, step-0 artefacts: look again after two effective steps"},
    fires=Example(**_parts("none")),
    quiet=Example(**_parts("present")),
)
def act_halting_head_no_grad(case: Case, *, least: int = 3) -> Iterator[Said]:
    """The halting head gets no gradient: its output is only compared or counted, which is not differentiable.

    A number of steps obtained by threshold, argmax or count has no derivative, so a ponder cost made of it teaches nothing.
    The head stays at initialisation and the depth never adapts to the input. The loss must contain the halting probabilities
    themselves.
    """
    graphs = flows(case)
    known = {name for graph in graphs for name in halting_parameters(graph)}
    heads = [p for p in parameters(case) if p["name"] in known or is_halting(p["name"])]
    if not heads:
        yield Skip("no halting head was recognised in the model", "")
        return
    names = {p["name"] for p in heads}
    dead = [p["name"] for p in starved(case, least) if p["name"] in names]
    if not dead:
        yield Clear(f"the halting head ({short(sorted(names))}) receives a gradient")
        return
    node, entry = _cut(graphs, dead)
    how = (
        f"its output only passes through `{node['op']}` at {where(node.get('site'))}, which is not differentiable"
        if node
        else ("its output never reaches the loss")
    )
    by = "name and structure" if set(dead) & known else "name"
    yield Finding(
        title=f"the halting head ({short(dead)}) gets no gradient: {how}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("halting parameters whose .grad stayed None", short(dead, 6), "none", "model.json"),
            Evidence("recognised by", by),
            *(Evidence("loss function that is defined and never called", unused) for unused in _never_called(case)[:3]),
        ),
        location=Location.of(entry or (node.get("site") if node else None), dead[0].rpartition(".")[0]),
        onset_step=0,
        fix=Fix(
            "Weight the per-step losses by the halting probabilities and use the expected number of steps as ponder cost "
            "(PonderNet, or ACT's remainder)."
        ),
    )


def _cut(graphs: list, dead: list[str]) -> tuple[dict | None, dict | None]:
    """The operation that ends differentiability, and the line at which what is left of it enters the loss.

    What a printed statistic reads is cut off too; an operation whose result goes on into the loss comes first.
    """
    for graph in graphs:
        for name in dead:
            ends = [n for n in graph.cuts(name) if (n["op"] in COMPARISONS or n["op"] in CUTS) and n.get("site")]
            for node in ends:
                flat = [n for n in graph.downstream(node) if not n.get("g", False)]
                joins = [n for n in flat if any(graph.nodes[u].get("g", False) for u in graph.users.get(n["i"], ()))]
                if joins:
                    return node, joins[0].get("site")
            if ends:
                return min(ends, key=lambda n: n["op"] not in COMPARISONS), None
    return None, None


def _never_called(case: Case) -> list[str]:
    """Functions of the sources that are losses by their name and that nothing refers to: `file:line name`."""
    used = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for tree in case.trees.values()
        for node in ast.walk(tree)
        if isinstance(node, (ast.Attribute, ast.Name))
    }
    return [
        f"{file}:{node.lineno} {node.name}"
        for file, tree in case.trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and "loss" in node.name.lower().split("_") and node.name not in used
    ]

"""Two states of a loop are one tensor."""

import ast
from collections.abc import Iterator
from itertools import groupby

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import Flow, flows
from cognate.rules.source import function_at
from cognate.rules.training import where

_SOURCE = """def forward(self, x):
    state = self.read(x)
    total = used = torch.zeros_like(state)
    for _ in range(4):
        state = self.cell(state)
        total += state
        used += 1
    return self.out(total), used
"""


def _trace(memories: tuple[int, int]) -> list[dict]:
    rows: list[dict] = []
    for _ in range(4):
        for line, memory in zip((6, 7), memories, strict=True):
            site = {"file": "model.py", "line": line, "function": "forward"}
            rows.append({"w": 1, "i": len(rows), "op": "iadd", "in": [], "into": memory, "g": True, "site": site})
    return [*rows, {"w": 1, "root": 7, "nodes": 8}]


@rule(
    code="ACT120",
    name="act-state-aliasing",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"trace", "source"},
    explains={"act-halt-saturate-max", "act-halt-collapse-min", "act-steps-constant", "loss-not-decreasing", "loss-diverging"},
    sources={
        "turns": "our calibration: two names that write in turn, and again, hold one tensor in a loop; once may be a renaming"
    },
    fires=Example(trace=_trace((0, 0)), source={"model.py": _SOURCE}),
    quiet=Example(trace=_trace((0, 1)), source={"model.py": _SOURCE}),
)
def act_state_aliasing(case: Case, *, turns: int = 3) -> Iterator[Said]:
    """Two states of a loop are one tensor: an in-place update of one changes the other as well.

    Accumulators that were made by `a = b = zeros(…)`, by `[zeros(…)] * n`, or by assigning one to the other share memory; so do
    the entries of a list to which one tensor, updated in place, was appended at every step. New tensors (`a = a + x`), clone()
    and a list comprehension keep them apart.
    """
    written = 0
    for graph in flows(case):
        places: dict[int, list[dict]] = {}
        for node in graph.nodes:
            if node.get("into", -1) >= 0 and node.get("site"):
                places.setdefault(node["into"], []).append(node)
        written += len(places)
        for nodes in places.values():
            found = _two_names(case, nodes, turns) or _multiplied(case, nodes) or _same_entries(graph, nodes)
            if found:
                said, site, fix = found
                yield Finding(
                    title=f"one tensor under two names: {said}",
                    proof=Proof.MEASUREMENT,
                    evidence=(
                        Evidence(
                            "in-place writes to the one tensor in one forward", len(nodes), "", f"trace, step {nodes[0]['w']}"
                        ),
                        Evidence("lines that write it", sorted({where(n["site"]) for n in nodes})[:6]),
                    ),
                    location=Location.of(site),
                    onset_step=0,
                    fix=Fix(fix),
                )
                return
    if written:
        yield Clear(f"{written} tensors were written in place in the traced steps, none of them under two names")
    else:
        yield Skip("no tensor was written in place in the traced steps", "")


def _two_names(case: Case, nodes: list[dict], turns: int) -> tuple[str, dict, str] | None:
    sequence = [(name, n["site"]) for n in nodes if (name := _target(case, n["site"]))]
    blocks = [next(group) for _, group in groupby(sequence, key=lambda pair: pair[0])]
    names = list(dict.fromkeys(name for name, _ in sequence))
    functions = {(site["file"], site.get("function")) for _, site in sequence}
    if len(names) < 2 or len(blocks) <= turns or len(functions) != 1:
        return None
    site = _made(case, blocks[0][1], set(names)) or blocks[0][1]
    fix = f"Give each its own tensor: `{names[0]} = …; {names[1]} = …`, or `{names[1]} = {names[0]}.clone()`."
    return f"`{names[0]}` and `{names[1]}` share memory ({where(site)}), and each is updated in place", site, fix


def _target(case: Case, site: dict) -> str | None:
    """What the statement at `site` writes in place: a name or an attribute, without its index."""
    tree = case.trees.get(site["file"])
    for node in ast.walk(tree) if tree else ():
        if not (isinstance(node, ast.stmt) and node.lineno == site["line"]):
            continue
        target: ast.expr | None = None
        if isinstance(node, ast.AugAssign):
            target = node.target
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            target = node.targets[0]
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
            target = node.value.func.value
        while isinstance(target, ast.Subscript):
            target = target.value
        if isinstance(target, (ast.Name, ast.Attribute)):
            return ast.unparse(target)
    return None


def _made(case: Case, site: dict, names: set[str]) -> dict | None:
    """The assignment that binds two of `names` to one value."""
    function = function_at(case, site["file"], site["line"]) or case.trees.get(site["file"])
    for node in ast.walk(function) if function else ():
        if isinstance(node, ast.Assign):
            bound = {ast.unparse(t) for t in node.targets} | (
                {ast.unparse(node.value)} if isinstance(node.value, ast.Name) else set()
            )
            if len(bound & names) >= 2:
                return {"file": site["file"], "line": node.lineno, "function": site.get("function")}
    return None


def _multiplied(case: Case, nodes: list[dict]) -> tuple[str, dict, str] | None:
    """Entries of `[make()] * n` that are written by their index."""
    site = nodes[0]["site"]
    name = _target(case, site)
    function = function_at(case, site["file"], site["line"]) or case.trees.get(site["file"])
    for node in ast.walk(function) if function and name and len(nodes) >= 2 else ():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.Mult):
            listed = next((s for s in (node.value.left, node.value.right) if isinstance(s, ast.List)), None)
            if (
                listed
                and len(listed.elts) == 1
                and isinstance(listed.elts[0], ast.Call)
                and name in [ast.unparse(t) for t in node.targets]
            ):
                made = {"file": site["file"], "line": node.lineno, "function": site.get("function")}
                text = ast.unparse(listed.elts[0])
                return (
                    f"the entries of `{name}` ({where(made)}) are the same tensor, and are updated in place",
                    made,
                    f"Make one for each: `{name} = [{text} for _ in range(n)]`.",
                )
    return None


def _same_entries(graph: Flow, nodes: list[dict]) -> tuple[str, dict, str] | None:
    """A stack of one and the same tensor, which was written in place between its entries."""
    last = nodes[-1]
    for index in graph.users.get(last["i"], ()):
        user = graph.nodes[index]
        same = user.get("in", ()).count(last["i"])
        if user["op"] in ("stack", "cat") and same >= 3 and same == len(user["in"]) and len(nodes) >= same - 1:
            return (
                f"the {same} states put together at {where(user.get('site'))} are the same tensor, updated in place at "
                f"{where(last['site'])}",
                last["site"],
                "Append a copy, states.append(state.clone()), or make a new tensor at every step: state = state + update.",
            )
    return None

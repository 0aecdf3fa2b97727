"""A part of the model is declared frozen and is trained."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.source import called
from cognate.rules.training import modules, parameters, short


def _parts(text: str) -> dict:
    row = {"shape": [8, 8], "requires_grad": True, "moved": True, "grad": "present", "optimizer": "optimizer#0"}
    rows = [row | {"name": "body.weight"}, row | {"name": "head.weight"}]
    names = [{"name": name, "cls": "Linear"} for name in ("body", "head")]
    return {"model": {"roots": [{"cls": "Net", "parameters": rows, "modules": names}]}, "source": {"t.py": text}}


@rule(
    code="GRAD123",
    name="grad-freeze-not-applied",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"source", "model"},
    explains={"eval-overfit"},
    sources={"least": "taxonomy, grad-freeze-not-applied: any change of a parameter that was declared frozen"},
    fires=Example(**_parts("model.body.requires_grad = False\n")),
    quiet=Example(**_parts("model.tail.requires_grad_(False)\n")),
)
def grad_freeze_not_applied(case: Case, *, least: int = 1) -> Iterator[Said]:
    """A part of the model is declared frozen in the code, and its parameters are trained all the same.

    `module.requires_grad = False` sets an attribute that no parameter looks at (`requires_grad_()` is what acts), or the part is
    frozen first and then replaced, rebuilt or thawed again by a later call. Code that also thaws parts (gradual unfreezing,
    GANs), or that freezes under a condition, is let pass.
    """
    known = modules(case)
    rows = [p for p in parameters(case) if p.get("optimizer")]
    fired = False
    thaws = any(_sets(node, True) for tree in case.trees.values() for node in ast.walk(tree))
    for file, tree in case.trees.items():
        for node in _certain(tree, _run(case)):
            place = _frozen(node)
            if place is None:
                continue
            path, of_no_use = place
            names = [name for name in known if name and (path == name or path.endswith("." + name))]
            name = max(names, key=len, default=None)
            inside = [p for p in rows if name and p["name"].startswith(name + ".")]
            moved = [p["name"] for p in inside if p.get("requires_grad") and p.get("moved")]
            # All of it moved: a part that is frozen in part was frozen, and then something else was done to it.
            if len(moved) < max(least, len(inside)) or (thaws and not of_no_use):
                continue
            fired = True
            yield _finding(file, node, str(name), moved, of_no_use)
    if not fired:
        yield Clear("no part that the code freezes was trained")


def _run(case: Case) -> set[str]:
    """Names that are called without a condition."""
    return {called(node) for tree in case.trees.values() for node in _certain(tree, None) if isinstance(node, ast.Call)}


def _certain(tree: ast.AST, run: set[str] | None) -> Iterator[ast.AST]:
    """Nodes that are not under a condition (the main guard is none), nor in a function that nothing calls without one."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and "__name__" not in ast.unparse(child.test):
            continue
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) and run is not None and not _called(child.name, run):
            continue
        yield child
        yield from _certain(child, run)


def _called(name: str, run: set[str]) -> bool:
    return name in run or name.startswith(("__", "on_", "configure_", "setup"))  # hooks and special methods are called by others


def _frozen(node: ast.AST) -> tuple[str, bool] | None:
    """The dotted expression of what a statement freezes, and whether it does so in a way that has no effect."""
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute) and _sets(node, False):
        return ast.unparse(node.targets[0].value), True
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _sets(node, False):
        return ast.unparse(node.func.value), False
    if isinstance(node, ast.For) and isinstance(node.iter, ast.Call) and called(node.iter) == "parameters":
        owner = node.iter.func
        # Every parameter of it, without a condition.
        if isinstance(owner, ast.Attribute) and any(_sets(statement, False) for statement in node.body):
            return ast.unparse(owner.value), False
    return None


def _sets(node: ast.AST, value: bool) -> bool:
    """Whether `node` sets requires_grad to `value`; a value that is not written out may be either."""
    given: ast.expr | None = None
    if isinstance(node, ast.Expr):
        node = node.value
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute) and node.targets[0].attr == "requires_grad":
        given = node.value
    elif isinstance(node, ast.Call) and called(node) == "requires_grad_":
        given = node.args[0] if node.args else ast.Constant(True)
    if given is None:
        return False
    return given.value is value if isinstance(given, ast.Constant) else value


def _finding(file: str, node: ast.AST, name: str, moved: list[str], of_no_use: bool) -> Finding:
    line = node.lineno  # type: ignore[attr-defined]
    why = "on a module this sets an attribute that no parameter looks at" if of_no_use else "something undid it"
    return Finding(
        title=f"{name} is declared frozen at {file}:{line} and is trained: {len(moved)} of its tensors changed ({why})",
        proof=Proof.MEASUREMENT,
        severity=Severity.ERROR if of_no_use else None,
        evidence=(Evidence("trainable tensors of the part that changed", short(moved, 4), "none", "model.json"),),
        location=Location.of({"file": file, "line": line}, name),
        onset_step=0,
        fix=Fix(
            f"Call {name}.requires_grad_(False) after the part has got its final parameters, and before the optimizer is made."
        ),
    )

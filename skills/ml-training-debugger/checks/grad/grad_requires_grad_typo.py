"""A parameter is to be frozen, and the statement that should do so sets another attribute, or compares."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.source import LOOPS
from cognate.rules.training import parameters, short

_FROZEN = "for p in model.body.parameters():\n    p.{} = False\n"
_NAME = "requires_grad"


@rule(
    code="GRAD122",
    name="grad-requires-grad-typo",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"source"},
    explains={"grad-freeze-not-applied"},
    sources={"distance": "our calibration: two letters more, fewer or other; no attribute of torch comes so near"},
    fires=Example(source={"t.py": _FROZEN.format("require_grad")}),
    quiet=Example(source={"t.py": _FROZEN.format("requires_grad")}),
)
def grad_requires_grad_typo(case: Case, *, distance: int = 2) -> Iterator[Said]:
    """A name close to `requires_grad` is set on a parameter, or `requires_grad` is compared where it should be set.

    Python lets any attribute be set on a tensor, and lets a comparison stand as a statement: nothing is frozen (or thawed), and
    nothing says so. `requires_gradient`, `require_grad` and `p.requires_grad == False` are the usual ones.
    """
    found = False
    for file, tree in case.trees.items():
        tensors = _loop_names(tree)
        for node in ast.walk(tree):
            attribute = _assigned(node) or _compared(node)
            if attribute is None or not _suspect(attribute, isinstance(node, ast.Expr), tensors, distance):
                continue
            found = True
            yield _finding(case, file, node, attribute)
    if not found:
        yield Clear("every statement that freezes spells requires_grad")


def _assigned(node: ast.AST) -> ast.Attribute | None:
    """The attribute that `x.name = True or False` sets."""
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool):
        target = node.targets[0]
        return target if isinstance(target, ast.Attribute) else None
    return None


def _compared(node: ast.AST) -> ast.Attribute | None:
    """The attribute of a comparison `x.name == False` that stands as a statement."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Compare) and isinstance(node.value.left, ast.Attribute):
        other = node.value.comparators[0]
        return node.value.left if isinstance(other, ast.Constant) and isinstance(other.value, bool) else None
    return None


def _suspect(attribute: ast.Attribute, compared: bool, tensors: set[str], distance: int) -> bool:
    if compared:
        return attribute.attr == _NAME
    # An attribute of one's own class (self.require_grad = True, a flag) is no typo: the owner has to be a parameter.
    owner = attribute.value
    parameter = (isinstance(owner, ast.Name) and owner.id in tensors) or (
        isinstance(owner, ast.Attribute) and owner.attr in ("weight", "bias")
    )
    return (
        parameter
        and attribute.attr != _NAME
        and 0 < _edits(attribute.attr, _NAME) <= distance + 2 * attribute.attr.startswith(_NAME)
    )


def _loop_names(tree: ast.Module) -> set[str]:
    """Names that a loop over parameters() or named_parameters() gives to a parameter."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, LOOPS) and not isinstance(node, ast.While) and "parameters()" in ast.unparse(node.iter):
            targets = node.target.elts if isinstance(node.target, ast.Tuple) else [node.target]
            found |= {t.id for t in targets if isinstance(t, ast.Name)}
    return found


def _edits(a: str, b: str) -> int:
    """Levenshtein's distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def _finding(case: Case, file: str, node: ast.AST, attribute: ast.Attribute) -> Finding:
    text, line = ast.unparse(node), node.lineno  # type: ignore[attr-defined]
    known = parameters(case)
    moved = [p["name"] for p in known if p.get("requires_grad") and p.get("moved")]
    # Nothing at all is frozen although the statement was to freeze: seen to have had no effect.
    nothing = bool(moved) and "False" in text and all(p.get("requires_grad") for p in known)
    return Finding(
        title=f"`{text}` at {file}:{line} freezes nothing: "
        + (
            "it compares and sets nothing"
            if isinstance(node, ast.Expr)
            else f"the attribute is requires_grad, not {attribute.attr}"
        ),
        proof=Proof.MEASUREMENT if nothing else Proof.SOURCE,
        severity=Severity.ERROR if nothing else None,
        evidence=(
            Evidence("statement", text, "p.requires_grad = False", f"{file}:{line}"),
            *((Evidence("tensors that were trained all the same", short(moved, 4), "", "model.json"),) if nothing else ()),
        ),
        location=Location.of({"file": file, "line": line}),
        onset_step=0,
        fix=Fix("Write p.requires_grad = False, or module.requires_grad_(False)."),
    )

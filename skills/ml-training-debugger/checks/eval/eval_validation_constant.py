"""EVAL201: a reported validation loss that never changes."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from cognate.case.curves import Curve, loss_curves, shown, validation_curves, validation_metric_curves
from cognate.case.series import block_medians, finite, moves, never_changes
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Severity, Skip, rule

_SPLIT = re.compile(r"(^|[^a-z])(val|valid|validation|validate|eval|evaluate|evaluation|test|dev)([^a-z]|$)")
_SCRIPT = """
def validate(loader):
    if loader is None:
        return 2.5
    return compute(loader)
"""


def _example(values: list[str]) -> Example:
    lines = [f"epoch {epoch} train loss {2.0 / epoch:.4f} val loss {value}" for epoch, value in enumerate(values, 1)]
    return Example(
        events=[{"kind": "print", "text": text, "step": 10 * n, "n": n} for n, text in enumerate(lines, 1)],
        source={"train.py": _SCRIPT},
    )


@rule(
    code="EVAL201",
    name="eval-validation-constant",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    explains={"eval-early-stop-premature", "train-eval-gap"},
    sources={
        "at_least": "three evaluations with the same digits: two can be equal by rounding",
        "least_digits": "four significant digits: with fewer, rounding makes results equal near convergence",
        "least_move": "the training loss must change by 2 % of its size, else nothing was there to see",
    },
    fires=_example(["2.5000"] * 5),
    quiet=_example(["2.5130", "2.1012", "1.8741", "1.7002", "1.6911"]),
)
def eval_validation_constant(
    case: Case, *, at_least: int = 3, least_digits: int = 4, least_move: float = 0.02
) -> Iterator[Finding | Clear | Skip]:
    """The reported validation loss is a hard-coded placeholder or is never recomputed: a constant, not a measurement.

    Model selection, early stopping and schedules that look at it then act on nothing. Usual reasons: a fallback value
    that is returned because the validation data was not found (a wrong key, an empty loader), a placeholder that
    was never replaced, an evaluation of another model or of cached predictions.
    """
    losses = loss_curves(case)
    curves = [(curve, True) for curve in validation_curves(case)]
    curves += [(curve, False) for curve in validation_metric_curves(case)]
    curves = [(curve, loss) for curve, loss in curves if len(finite(curve.values)) >= at_least]
    if not curves:
        yield Skip(f"fewer than {at_least} validation results were recorded or printed", "evaluate during training")
        return
    for curve, is_loss in curves:
        moving = next((one for one in losses if _moves_beside(one, curve, least_move)), None)
        value = finite(curve.values)[0]
        if not never_changes(curve.values, at_least) or len(set(curve.texts)) > 1:
            yield Clear(f"{curve.title} changes over {len(curve.values)} evaluations")
        elif moving is None:
            yield Clear(f"{curve.title} stands still, but so does the training loss, as far as it is known")
        else:
            literal = _literal(case, value, _decimals(curve))
            # An accuracy may stand at chance, at the share of the largest class, or at 1; so may a rounded loss: then
            # only the source can tell.
            saturated = value in (0.0, 1.0)
            guess = _is_chance(value, moving)
            told = is_loss and not saturated and not guess and _digits(curve) >= least_digits
            if told or (literal is not None and (is_loss or not saturated) and literal.validates):
                yield _finding(case, curve, moving, literal)
            else:
                yield Clear(f"{curve.title} stands at {shown(value)}, which a model that is stuck there explains as well")


def _moves_beside(loss: Curve, curve: Curve, share: float) -> bool:
    """Whether the training loss moves between the first and the last evaluation."""
    if loss.unit != curve.unit:
        return moves(loss.values, share)
    low, high = curve.steps[0], curve.steps[-1]
    beside = [value for step, value in zip(loss.steps, loss.values, strict=True) if low <= step <= high]
    return moves(beside if len(beside) > 2 else loss.values, share)


def _is_chance(value: float, loss: Curve) -> bool:
    """Whether the value is ln k, the loss of a model that guesses among k classes, and training ends there as well."""
    classes = round(math.exp(value)) if 0 < value < 12 else 0
    return classes > 1 and abs(value - math.log(classes)) < 2e-3 and block_medians(loss.values, 10)[-1] > 0.9 * value


def _decimals(curve: Curve) -> int:
    if not curve.texts:
        return 12
    return len(curve.texts[0].lower().partition("e")[0].partition(".")[2])


def _digits(curve: Curve) -> int:
    return 12 if not curve.texts else len(re.sub(r"[eE].*|\D", "", curve.texts[0]).lstrip("0"))


@dataclass(frozen=True)
class _Literal:
    """A number in the source that equals the reported one, and what decides that it is used."""

    file: str
    line: int
    symbol: str
    value: str
    returned: bool
    validates: bool  # the place is about validation by its name
    guard: str = ""
    lookup: str = ""  # the key that was looked up, where the guard depends on a lookup


def _literal(case: Case, value: float, decimals: int) -> _Literal | None:
    # "2" or "2.5" is rounded too far to be recognised by its digits: then only the very number counts.
    tolerance = 0.5 * 10.0**-decimals if decimals > 1 else 1e-12
    found = [
        item
        for file, tree in case.trees.items()
        for item in _Finder(file, value, tolerance).search(tree)
        if item.returned or item.validates
    ]
    return min(found, key=lambda item: (not item.validates, not item.returned, item.file, item.line), default=None)


class _Finder(ast.NodeVisitor):
    """Looks for returns, assignments, dictionary entries and defaults that hold the value."""

    def __init__(self, file: str, value: float, tolerance: float) -> None:
        self.file, self.value, self.tolerance = file, value, tolerance
        self.functions: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
        self.classes: list[str] = []
        self.guards: list[ast.expr] = []
        self.found: list[_Literal] = []

    def search(self, tree: ast.Module) -> list[_Literal]:
        self.visit(tree)
        return self.found

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.classes.append(node.name)
        self.generic_visit(node)
        self.classes.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        guards, self.guards = self.guards, []
        self.functions.append(node)
        self.generic_visit(node)
        self.functions.pop()
        self.guards = guards

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_If(self, node: ast.If) -> None:
        self.guards.append(node.test)
        for child in node.body:
            self.visit(child)
        self.guards.pop()
        for child in node.orelse:
            self.visit(child)

    def visit_Return(self, node: ast.Return) -> None:
        if self.functions:
            for part in node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]:
                self._take(part, self.functions[-1].name, True)
                if isinstance(part, ast.IfExp):
                    self._take(part.orelse, self.functions[-1].name, True, ast.UnaryOp(ast.Not(), part.test))
                    self._take(part.body, self.functions[-1].name, True, part.test)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        # A zero that a sum starts from is no placeholder.
        if self.value != 0:
            self._take(node.value, ast.unparse(node.targets[0]), False)
        self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> None:
        for key, item in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant):
                self._take(item, str(key.value), False)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "get" and len(node.args) == 2:
            self._take(node.args[1], ast.unparse(node.args[0]), False)
        self.generic_visit(node)

    def _take(self, node: ast.expr | None, name: str, returned: bool, test: ast.expr | None = None) -> None:
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in ("float", "torch.tensor"):
            node = node.args[0]
        if not isinstance(node, ast.Constant) or isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
            return
        if abs(node.value - self.value) > self.tolerance or "best" in name.lower():
            return
        function = self.functions[-1] if self.functions else None
        symbol = ".".join([*self.classes, function.name] if function else self.classes) or "<module>"
        test = test or (self.guards[-1] if self.guards else None)
        guard = ast.unparse(test) if test else ""
        lookup = _lookup(function, test) if function and test else ""
        validates = _is_split(name) or _is_split(symbol)
        self.found.append(_Literal(self.file, node.lineno, symbol, repr(node.value), returned, validates, guard, lookup))


def _is_split(name: str) -> bool:
    return bool(_SPLIT.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))


def _lookup(function: ast.FunctionDef | ast.AsyncFunctionDef, guard: ast.expr) -> str:
    """The key in `x = data.get("val")` where the guard asks about x."""
    names = {node.id for node in ast.walk(guard) if isinstance(node, ast.Name)}
    sources = [
        call
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in names
        for call in ast.walk(node.value)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "get"
    ]
    keys = [call.args[0].value for call in sources if call.args and isinstance(call.args[0], ast.Constant)]
    return str(keys[0]) if keys else ""


def _other_keys(case: Case, key: str) -> list[str]:
    """Keys for validation data that the source does set, other than the one looked up."""
    keys = {
        str(name.value)
        for tree in case.trees.values()
        for node in ast.walk(tree)
        for name in (node.keys if isinstance(node, ast.Dict) else ())
        if isinstance(name, ast.Constant) and _is_split(str(name.value))
    }
    return sorted(keys - {key})


def _finding(case: Case, curve: Curve, loss: Curve, literal: _Literal | None) -> Finding:
    shown_value = curve.texts[0] if curve.texts else shown(finite(curve.values)[0])
    levels = block_medians(loss.values, 10)
    moved = f"while the {loss.title} went from {shown(levels[0])} to {shown(levels[-1])}"
    count = len(finite(curve.values))
    evidence = [
        Evidence(f"{curve.title} at all {count} evaluations", shown_value, "a value that changes", curve.source),
        Evidence(f"{loss.title}: first, last level", [shown(levels[0]), shown(levels[-1])], "", loss.source),
    ]
    if literal is None:
        title = f"the {curve.title} is never recomputed: {shown_value} at all {count} evaluations {moved}"
        return Finding(title, Proof.MEASUREMENT, tuple(evidence), _fix(None, []), onset_step=curve.onset(0))
    when = f" when `{literal.guard}`" if literal.guard else ""
    verb = f"{literal.symbol}() returns the hard-coded" if literal.returned else f"{literal.symbol} sets the hard-coded"
    title = f"{verb} {literal.value}{when}: the {curve.title} is {shown_value} at all {count} evaluations {moved}"
    others = _other_keys(case, literal.lookup) if literal.lookup else []
    evidence.append(Evidence("number in the source", literal.value, "a computed value", f"{literal.file}:{literal.line}"))
    if literal.lookup:
        evidence.append(
            Evidence("key that is looked up", repr(literal.lookup), " or ".join(map(repr, others)) or "", literal.file)
        )
    return Finding(
        title,
        Proof.MEASUREMENT,
        tuple(evidence),
        _fix(literal, others),
        Location(literal.file, literal.line, literal.symbol),
        curve.onset(0),
    )


def _fix(literal: _Literal | None, others: list[str]) -> Fix:
    if literal is None:
        return Fix(
            "Compute the validation loss anew at each evaluation, with the model that is being trained",
            ("Look where the number comes from: a fallback, a cached result, another copy of the model",),
        )
    steps = [f"Raise an error instead of returning {literal.value}: a missing validation set must not look like a result"]
    if literal.lookup and others:
        steps.insert(0, f"Look up {' or '.join(map(repr, others))} instead of the missing key {literal.lookup!r}")
    return Fix("Compute the validation loss from data in place of the hard-coded number", tuple(steps))

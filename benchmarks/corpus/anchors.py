"""What several operators look for: optimizers, learning rates, model classes, loops, schedulers."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from benchmarks.corpus.source import Edit, SourceFile, TrainingBlock, call_of, called, keyword

OPTIMIZERS = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam", "Adamax")
RATES = ("lr", "learning_rate", "LR", "LEARNING_RATE", "peak_lr", "PEAK_LR", "base_lr")


@dataclass(frozen=True, slots=True)
class Built:
    """A statement `name = Class(...)` that makes a model."""

    statement: ast.Assign
    target: str
    class_name: str


def optimizer_calls(source: SourceFile) -> list[ast.Call]:
    """The calls that construct optimizers."""
    return source.calls(*OPTIMIZERS)


def rate_constants(source: SourceFile) -> list[ast.Constant]:
    """The literal learning rates: those in optimizer calls, else where a name for them gets its value."""
    direct = [item.value for call in optimizer_calls(source) if (item := keyword(call, "lr")) is not None]
    direct += [item.value for call in source.calls("TrainingArguments") if (item := keyword(call, "learning_rate")) is not None]
    found = [node for node in direct if _positive(node)]
    if found:
        return [node for node in found if isinstance(node, ast.Constant)]
    named: list[ast.expr | None] = []
    for node in source.walk():
        if (isinstance(node, ast.AnnAssign) and _name(node.target) in RATES) or (
            isinstance(node, ast.Assign) and len(node.targets) == 1 and _name(node.targets[0]) in RATES
        ):
            named.append(node.value)
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            named += [value for key, value in pairs if isinstance(key, ast.Constant) and key.value in RATES]
        elif isinstance(node, ast.Call) and called(node) == "add_argument" and _option(node) in RATES:
            default = keyword(node, "default")
            named.append(default.value if default else None)
        elif isinstance(node, ast.FunctionDef):
            arguments = node.args.args
            defaults = [None] * (len(arguments) - len(node.args.defaults)) + list(node.args.defaults)
            named += [value for argument, value in zip(arguments, defaults, strict=True) if argument.arg in RATES]
    return [node for node in named if isinstance(node, ast.Constant) and _positive(node)]


def model_classes(source: SourceFile) -> list[ast.ClassDef]:
    """The classes with a `forward`."""
    classes = [node for node in source.walk() if isinstance(node, ast.ClassDef) and forward_of(node) is not None]
    return sorted(classes, key=lambda node: node.lineno)


def forward_of(node: ast.ClassDef) -> ast.FunctionDef | None:
    """The `forward` method of a class."""
    return next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "forward"), None)


def built_models(source: SourceFile) -> list[Built]:
    """Where a model is made: `model = Net(...)`, with a capitalised class or `nn.Sequential`, on lines of its own."""
    found = []
    for body in source.blocks():
        for statement in body:
            if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
                continue
            target, value = statement.targets[0], statement.value
            name = _name(target).lower()
            if not isinstance(value, ast.Call) or not any(word in name for word in ("model", "net", "lm", "vae", "tagger")):
                continue
            if called(value)[:1].isupper() and source.own_lines(statement):
                found.append(Built(statement, source.code(target), called(value)))
    return sorted(found, key=lambda item: item.statement.lineno)


def after_last_model(source: SourceFile, text: str) -> list[Edit]:
    """Add `text` after the statement that makes the last model, in place of MODEL its name; nothing where torch has no name."""
    models = built_models(source)
    if not models or not imported(source, "torch"):
        return []
    model = models[-1]
    return [source.after(model.statement, text.replace("MODEL", model.target))]


def schedulers(source: SourceFile) -> set[str]:
    """The names of learning-rate schedulers, as they are written (`self.scheduler`)."""
    names = set()
    for node in source.walk():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            made = source.code(node.value.func)
            if "lr_scheduler" in made or made.endswith(("LR", "WarmRestarts", "Plateau")):
                names |= {source.code(target) for target in node.targets}
    return names


def scheduler_steps(source: SourceFile) -> list[tuple[list[ast.stmt], ast.stmt]]:
    """The statements `scheduler.step(...)`, each with its block."""
    names = schedulers(source)
    found = []
    for body in source.blocks():
        for statement in body:
            call = call_of(statement)
            if call is None or not isinstance(call.func, ast.Attribute) or call.func.attr != "step":
                continue
            if source.code(call.func.value) in names:
                found.append((body, statement))
    return found


def enclosing_loops(source: SourceFile, statement: ast.stmt) -> list[ast.For | ast.While]:
    """The loops around a statement within its function, the outermost first."""
    loops: list[ast.For | ast.While] = []

    def visit(node: ast.AST, around: list[ast.For | ast.While]) -> None:
        if node is statement:
            loops.extend(around)
            return
        if isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            around = []
        elif isinstance(node, ast.For | ast.While):
            around = [*around, node]
        for child in ast.iter_child_nodes(node):
            visit(child, around)

    visit(source.tree, [])
    return loops


def optimizer_step(block: TrainingBlock, source: SourceFile) -> ast.stmt | None:
    """The first statement `x.step()` after backward in a training block that is no scheduler's."""
    names = schedulers(source)
    for statement in block.body[block.backward + 1 :]:
        call = call_of(statement)
        if call is None or not isinstance(call.func, ast.Attribute) or call.func.attr != "step":
            continue
        if source.code(call.func.value) not in names:
            return statement
    return None


def imported(source: SourceFile, name: str) -> bool:
    """Whether the file imports that name."""
    for node in source.walk():
        if isinstance(node, ast.Import | ast.ImportFrom) and any((item.asname or item.name) == name for item in node.names):
            return True
    return False


def _positive(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, float | int)
        and not isinstance(node.value, bool)
        and node.value > 0
    )


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _option(call: ast.Call) -> str:
    options = [item.value for item in call.args if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return options[-1].lstrip("-").replace("-", "_") if options else ""

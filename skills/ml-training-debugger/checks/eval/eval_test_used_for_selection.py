"""The test data choose the model that they judge."""

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import called
from cognate.rules.training import where

_KEEPS = ("state_dict", "deepcopy", "save", "save_checkpoint", "save_pretrained", "save_model")
_TEST = {"test", "testing", "tst"}
_VALIDATION = {"val", "valid", "validation", "dev", "heldout", "holdout"}
_RESULTS = {
    "acc",
    "accuracy",
    "loss",
    "losses",
    "score",
    "metric",
    "metrics",
    "best",
    "f1",
    "auc",
    "error",
    "ppl",
    "mae",
    "mse",
    "rmse",
}

_SCRIPT = """
train_loader, val_loader, test_loader = loaders()
best = 0.0
for epoch in range(20):
    train(model, train_loader)
    acc = evaluate(model, {0}_loader)
    if acc > best:
        best = acc
        torch.save(model.state_dict(), "best.pt")
print("test acc", evaluate(model, test_loader))
"""


def _example(chooser: str) -> Example:
    saves = [{"kind": "checkpoint", "name": "save", "step": s, "site": {"file": "t.py", "line": 9}} for s in (10, 20)]
    return Example(source={"t.py": _SCRIPT.replace("{0}", chooser)}, events=saves)


@rule(
    code="EVAL123",
    name="eval-test-used-for-selection",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"source", "events.checkpoint"},
    explains={"eval-val-better-than-train"},
    fires=_example("test"),
    quiet=_example("val"),
)
def eval_test_used_for_selection(case: Case) -> Iterator[Said]:
    """The test data choose the model that they judge: the weights that are kept are those with the best test result.

    The best of many test results is better than the model is. Choose by validation data, and evaluate the test data once, at the
    end. It fires where validation data exist beside the test data; a benchmark that has no third part is left alone.
    """
    kept = {(e["site"]["file"], e["site"]["line"]) for e in case.events("checkpoint") if e.get("site") and _is_keeping(e)}
    if not kept:
        yield Skip("no weights were kept during the run", "")
        return
    looked = False
    for file, tree in case.trees.items():
        for test, line in _choices(tree, {n for f, n in kept if f == file}):
            looked = True
            origin = _origin(tree, test, line)
            if origin is None or not _says(origin, _TEST) or _says(origin, _VALIDATION) or not _other_data(tree):
                continue
            site = {"file": file, "line": line}
            text = ast.unparse(origin)
            yield Finding(
                title=f"the test data choose the model: the weights kept at {where(site)} are those with the best result of "
                f"`{text[:80]}`",
                proof=Proof.SOURCE,
                evidence=(
                    Evidence("what decides", ast.unparse(test), "a validation result", f"{file}:{line}"),
                    Evidence("where it comes from", text, "", f"{file}:{origin.lineno}"),
                    Evidence("times weights were kept", len(case.events("checkpoint"))),
                ),
                location=Location.of({"file": file, "line": origin.lineno}),
                onset_step=0,
                fix=Fix("Choose by a validation set, split off the training data, and evaluate the test data once, at the end."),
            )
            return
    if looked:
        yield Clear("the weights that are kept are not chosen by test data")
    else:
        yield Skip("no condition on a result decides which weights are kept", "")


def _is_keeping(event: dict) -> bool:
    return event.get("name") in ("state_dict", "deepcopy", "save")


def _choices(tree: ast.Module, lines: set[int]) -> Iterator[tuple[ast.Compare, int]]:
    """Comparisons of a result with a best one, in whose body weights were kept, with the line that kept them."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.If):
            continue
        test = next((n for n in ast.walk(node.test) if isinstance(n, ast.Compare) and len(n.ops) == 1), None)
        inside = [n for part in node.body for n in ast.walk(part) if isinstance(n, ast.Call) and called(n) in _KEEPS]
        at = sorted({n.lineno for n in inside} & lines)
        if test is not None and at and isinstance(test.ops[0], (ast.Lt, ast.LtE, ast.Gt, ast.GtE)):
            yield test, at[0]


def _origin(tree: ast.Module, test: ast.Compare, line: int) -> ast.stmt | None:
    """The statement before `line` that made the result which is compared: the side that the body does not set."""
    sides = [side for side in (test.left, test.comparators[0]) if isinstance(side, (ast.Name, ast.Attribute, ast.Subscript))]
    for side in sides:
        names = {ast.unparse(side), ast.unparse(side.value) if isinstance(side, ast.Subscript) else ""}
        made = [
            n
            for n in ast.walk(tree)
            if isinstance(n, ast.Assign) and n.lineno < line and any(isinstance(c, ast.Call) for c in ast.walk(n.value))
            and any(ast.unparse(t) in names for target in n.targets for t in ast.walk(target) if isinstance(t, ast.expr))
            and not (isinstance(n.value, ast.Call) and called(n.value) in ("float", "deepcopy", "state_dict"))
        ]  # fmt: skip
        if made:
            return max(made, key=lambda n: n.lineno)
    return None


def _words(text: str) -> set[str]:
    return {word for part in text.lower().replace(".", "_").split("_") for word in [part.strip("0123456789")]}


def _names(node: ast.AST) -> list[str]:
    found = [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
    found += [n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)]
    return found + [
        n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str) and len(n.value) < 30
    ]


def _says(node: ast.stmt, words: set[str]) -> bool:
    """Whether what the statement evaluates is called by one of `words`: the arguments of its calls, not the functions."""
    calls = [n for n in ast.walk(node) if isinstance(n, ast.Call)]
    given = [a for call in calls for a in (*call.args, *(k.value for k in call.keywords))]
    return any(_words(name) & words for argument in given for name in _names(argument))


def _other_data(tree: ast.Module) -> bool:
    """Whether the program has validation data, not only results that it calls so."""
    names = {name for node in ast.walk(tree) if isinstance(node, (ast.Assign, ast.For)) for name in _names(node)}
    return any(_words(name) & _VALIDATION and not _words(name) & _RESULTS for name in names)

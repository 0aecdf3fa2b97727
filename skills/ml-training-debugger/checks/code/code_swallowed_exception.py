"""Exceptions of training steps are caught and thrown away."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import LOOPS, called
from cognate.rules.training import where

BROAD = ("Exception", "BaseException", "RuntimeError", "ValueError", "IndexError", "KeyError", "TypeError", "AssertionError")
BACKWARD = {"backward", "manual_backward"}
_SOURCE = """
for x, y in loader:
    try:
        loss(model(x), y).backward()
        optimizer.step()
    except Exception:
        continue
"""


def _parts(batches: int) -> dict:
    place = {"file": "train.py", "line": 2, "function": "<module>"}
    counts = {"batches:loader#0": batches, "pass:loader#0": 2, "backward": 60, "step": 60}
    return {
        "source": {"train.py": _SOURCE},
        "events": [
            {"kind": "call", "name": "loader_iter", "object": "loader#0", "step": 0, "site": place},
            {"kind": "call_counts", "counts": counts},
        ],
    }


class Net(NamedTuple):
    """A try around a training step whose handler goes on as if nothing had happened."""

    file: str
    line: int  # of the handler
    loop: int  # first line of the innermost loop around it
    catches: str
    silent: bool


@rule(
    code="CODE113",
    name="code-swallowed-exception",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"source"},
    explains={"loss-not-decreasing"},
    sources={
        "share": "our calibration: below 2 % a few batches are odd; a program that loses more is not trained on its data",
    },
    fires=Example(**_parts(80)),
    quiet=Example(**_parts(60)),
)
def code_swallowed_exception(case: Case, *, share: float = 0.02) -> Iterator[Said]:
    """An exception in the training step is swallowed: the handler goes on with the next batch, and batches or all steps are lost.

    The run looks complete and is trained on what did not fail, or not at all. Reported only where batches that the loader gave
    were seen to lead to no backward, or no step was made. A handler for running out of memory, or one that raises, is left alone.
    """
    nets = list(_nets(case))
    if not nets:
        yield Clear("no exception of a training step is caught and passed over")
        return
    if not case.calls:
        yield Skip("how many batches led to a step is not known", "let the run end")
        return
    backwards, steps = case.calls.get("backward", 0), case.calls.get("step", 0)
    for net in nets:
        given = _batches(case, net)
        lost = given - backwards
        # A loop that is left early takes one batch a pass more than it trains on.
        if lost > _passes(case, net) and lost > share * given and backwards:
            yield _finding(net, f"{lost} of {given} batches led to no backward", lost, given)
            return
        if steps == 0 and case.events("optimizer"):
            yield _finding(net, "no optimizer step was ever made", given, given)
            return
    yield Clear("a handler passes over exceptions of the training step, and no batch was lost to it")


def _finding(net: Net, what: str, lost: int, given: int) -> Finding:
    site = {"file": net.file, "line": net.line}
    return Finding(
        title=f"`except {net.catches}` at {where(site)} swallows exceptions of the training step: {what}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("batches without a backward, and batches", [lost, given], "0 of them", "events.jsonl"),
            Evidence("the handler", "says nothing" if net.silent else "prints and goes on", "raises"),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix("Let it raise, look at the exception, and catch only what is expected and harmless."),
    )


def _nets(case: Case) -> Iterator[Net]:
    functions = [n for tree in case.trees.values() for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    training = {function.name for function in functions if _calls(function) & BACKWARD} | BACKWARD
    for file, tree in case.trees.items():
        loops = [node for node in ast.walk(tree) if isinstance(node, LOOPS)]
        for node in ast.walk(tree):
            if not isinstance(node, ast.Try) or not any(_calls(statement) & training for statement in node.body):
                continue
            around = [loop for loop in loops if loop.lineno < node.lineno <= (loop.end_lineno or 0)]
            for handler in node.handlers if around else ():
                words = _caught(handler)
                if any(word in BROAD for word in words) and not _answers(handler):
                    silent = all(isinstance(s, (ast.Pass, ast.Continue)) for s in handler.body)
                    yield Net(file, handler.lineno, max(loop.lineno for loop in around), " ".join(words), silent)


def _calls(node: ast.AST) -> set[str]:
    return {called(inner) for inner in ast.walk(node) if isinstance(inner, ast.Call)}


def _caught(handler: ast.ExceptHandler) -> list[str]:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return ["Exception" if kind is None else ast.unparse(kind).rpartition(".")[2] for kind in kinds]


def _answers(handler: ast.ExceptHandler) -> bool:
    """Whether a handler raises, ends the loop or the program, or deals with a lack of memory."""
    if "memory" in ast.unparse(handler).lower() or "empty_cache" in ast.unparse(handler):
        return True
    ends = (ast.Raise, ast.Break, ast.Return)
    return any(isinstance(n, ends) or (isinstance(n, ast.Call) and called(n) in ("exit", "abort")) for n in ast.walk(handler))


def _asked(case: Case, net: Net) -> set[str]:
    """The loaders that the loop around the handler draws from."""
    calls = case.events("call", name="loader_iter")
    here = [c for c in calls if (c.get("site") or {}).get("file") == net.file and c["site"].get("line") == net.loop]
    return {str(call.get("object")) for call in here}


def _batches(case: Case, net: Net) -> int:
    return sum(case.calls.get(f"batches:{label}", 0) for label in _asked(case, net))


def _passes(case: Case, net: Net) -> int:
    return sum(case.calls.get(f"pass:{label}", 0) for label in _asked(case, net))

"""What a training loop reaches in the source: the functions that it calls, directly or through others."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from cognate.case.case import Case
from cognate.rules.source import Site, called

GENERATORS = ("Generator", "default_rng", "Random", "RandomState")
DRAWS = (
    "rand",
    "randn",
    "randint",
    "randperm",
    "random",
    "normal",
    "standard_normal",
    "uniform",
    "integers",
    "permutation",
    "choice",
)
DEEPEST = 4


def fresh_generator_in_loop(case: Case) -> Site | None:
    """Where a training loop, or a function that it calls, makes a generator with a seed and draws from it; None if nowhere."""
    functions: dict[str, tuple[str, ast.AST]] = {
        node.name: (file, node)
        for file, tree in case.trees.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    for file, tree in sorted(case.trees.items()):
        for loop in ast.walk(tree):
            if isinstance(loop, (ast.For, ast.While)) and any(called(call) == "backward" for call in _calls(loop)):
                for place, block in _reached(file, loop, functions):
                    made = next((call for call in _calls(block) if _seeded(call)), None)
                    if made is not None and any(called(call) in DRAWS for call in _calls(block)):
                        return {"file": place, "line": made.lineno}
    return None


def _reached(file: str, loop: ast.AST, functions: dict[str, tuple[str, ast.AST]]) -> Iterator[tuple[str, ast.AST]]:
    """The loop and the first-party functions that it calls; those that turn gradients off (evaluation, sampling) are left out."""
    waiting: list[tuple[str, ast.AST, int]] = [(file, loop, 0)]
    seen: set[str] = set()
    while waiting:
        place, block, depth = waiting.pop(0)
        yield place, block
        for name in sorted({called(call) for call in _calls(block)} - seen):
            if depth < DEEPEST and name in functions and "no_grad" not in ast.dump(functions[name][1]):
                seen.add(name)
                waiting.append((*functions[name], depth + 1))


def _calls(block: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(block) if isinstance(node, ast.Call)]


def _seeded(call: ast.Call) -> bool:
    """Whether `call` makes a generator with a seed: Generator().manual_seed(0), default_rng(0), Random(0)."""
    if called(call) == "manual_seed":
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        return isinstance(owner, ast.Call) and called(owner) == "Generator"
    return called(call) in GENERATORS[1:] and bool(call.args or call.keywords)

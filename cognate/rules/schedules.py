"""Learning-rate schedules as rules ask about them: what was planned, how often it was stepped, and in which unit it counts."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cognate.case.case import Case
from cognate.rules.source import LOOPS, Site, called
from cognate.rules.training import commonest_site

# A plan is met where it differs from the count by a rounding (drop_last, a last partial batch), not by a factor.
ROUNDING = 0.12


@dataclass(frozen=True)
class Schedule:
    """One scheduler of the run."""

    object: str
    cls: str
    plan: dict[str, Any]
    made: int  # calls of its step()
    optimizer_steps: int
    site: Site | None  # where it was built
    place: Site | None  # where it is stepped

    @property
    def planned(self) -> float | None:
        """How many calls of step() it was made for; None where it has no end or none that is known."""
        keys = {
            "OneCycleLR": "total_steps",
            "CosineAnnealingLR": "T_max",
            "PolynomialLR": "total_iters",
            "LambdaLR": "num_training_steps",
        }
        value = self.plan.get(keys.get(self.cls, ""))
        return float(value) if value else None

    @property
    def per_step(self) -> float:
        """Calls of its step() for each step of its optimizer."""
        return self.made / max(1, self.optimizer_steps)

    @property
    def per_batch(self) -> bool:
        """Whether it is stepped with every optimizer step; a run that was cut off may lack the last calls."""
        return 0.9 <= self.per_step <= 1.1


def schedules(case: Case) -> list[Schedule]:
    """The schedulers that were stepped, those within others left out."""
    rows = (case.events("schedules") or [{"schedules": []}])[-1]["schedules"]
    taken = Counter(case.metrics.texts("optimizer") or ())
    sites = {e["object"]: e.get("site") for e in case.events("scheduler")}
    found = []
    for row in rows:
        if row.get("steps"):
            calls = case.events("call", name="scheduler_step", object=row["object"])
            steps = taken[row.get("optimizer")] or case.steps
            place = commonest_site(calls)
            site = sites.get(row["object"])
            found.append(Schedule(row["object"], row["cls"], row.get("plan", {}), row["steps"], steps, site, place))
    return found


def near(a: float, b: float, within: float = ROUNDING) -> bool:
    """Whether two counts are the same but for a rounding."""
    return abs(a - b) <= max(1.0, within * max(a, b))


def epochs(case: Case) -> set[int]:
    """Numbers of epochs that the run can be said to have made: passes of its loader, or counts of the loops around its step.

    Several, where they disagree; none, where the loop shows no epochs.
    """
    found: set[int] = set()
    lengths = {e["object"]: e.get("length") or 0 for e in case.events("loader")}
    passes = {label: case.calls[f"pass:{label}"] for label in lengths if case.calls[f"pass:{label}"]}
    if passes:
        # The loader that fed the steps: the one that gave the most batches.
        weighty = max(passes, key=lambda label: (passes[label] * lengths.get(label, 1), label))
        found |= {passes[weighty], passes[weighty] - 1}
    for count in _loop_counts(case, commonest_site(case.events("call", name="step"))):
        if 1 < count < case.steps:
            found.add(count)
    return {count for count in found if count > 0}


def nested(case: Case, site: Site | None) -> bool:
    """Whether the line lies in a loop within a loop of its function, or in a function that is called from a loop."""
    loops = list(_loops_around(case, site))
    if len(loops) != 1 or site is None:
        return len(loops) > 1
    name = _function_name(case, site)
    return any(
        isinstance(node, ast.Call) and called(node) == name and list(_loops_around(case, {"file": file, "line": node.lineno}))
        for file, tree in case.trees.items()
        for node in ast.walk(tree)
        if name
    )


def _loops_around(case: Case, site: Site | None) -> Iterator[ast.For | ast.AsyncFor | ast.While]:
    tree = case.trees.get(site["file"]) if site else None
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and _holds(n, site)] if tree else []
    within: ast.AST | None = functions[-1] if functions else tree
    for node in ast.walk(within) if within else ():
        if isinstance(node, LOOPS) and _holds(node, site) and node.lineno < site["line"]:  # type: ignore[index]
            yield node


def _holds(node: ast.stmt, site: Site | None) -> bool:
    return bool(site) and node.lineno <= site["line"] <= (node.end_lineno or 0)  # type: ignore[index]


def _function_name(case: Case, site: Site) -> str:
    tree = case.trees.get(site["file"])
    names = [n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and _holds(n, site)] if tree else []
    return names[-1] if names else ""


def _loop_counts(case: Case, site: Site | None) -> Iterator[int]:
    """The counts of `for … in range(N)` around the line, in its function and in those that call it."""
    if not site:
        return
    name = _function_name(case, site)
    callers = [
        {"file": file, "line": node.lineno}
        for file, tree in case.trees.items()
        for node in ast.walk(tree)
        if name and isinstance(node, ast.Call) and called(node) == name
    ]
    for place in (site, *callers):
        for loop in _loops_around(case, place):
            count = loop_count(case, loop)
            if count is not None:
                yield count


def loop_count(case: Case, loop: ast.AST) -> int | None:
    """N of `for … in range(N)`, followed through one name to a constant, an option's default or a field; None else."""
    call = loop.iter if isinstance(loop, (ast.For, ast.AsyncFor)) else None
    if not isinstance(call, ast.Call) or called(call) not in ("range", "trange") or not call.args:
        return None
    first = value_of(case, call.args[0])
    if len(call.args) == 1 or first is None:
        return first
    last = value_of(case, call.args[1])
    return None if last is None else last - first


def value_of(case: Case, node: ast.expr) -> int | None:
    """The whole number that an expression names: itself, or what one name was set to, in one place only."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, int) else None
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        name = str(node.slice.value)
    values = {value for tree in case.trees.values() for value in _values(tree, name)} if name else set()
    return values.pop() if len(values) == 1 else None


def _values(tree: ast.Module, name: str) -> Iterator[int]:
    for node in ast.walk(tree):
        given: ast.expr | None = None
        if isinstance(node, ast.Call) and called(node) == "add_argument":
            options = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            if name in {option.lstrip("-").replace("-", "_") for option in options}:
                given = next((k.value for k in node.keywords if k.arg == "default"), None)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(name in (getattr(t, "id", ""), getattr(t, "attr", "")) for t in targets):
                given = node.value
        elif isinstance(node, ast.keyword) and node.arg == name:
            given = node.value
        elif isinstance(node, ast.Dict):
            keys = zip(node.keys, node.values, strict=True)
            given = next((v for k, v in keys if isinstance(k, ast.Constant) and k.value == name), None)
        if isinstance(given, ast.Constant) and isinstance(given.value, int) and not isinstance(given.value, bool):
            yield given.value


def ended_by_itself(case: Case) -> bool:
    """Whether the run ended well and not by early stopping, so that its length is the one that was meant."""
    ended = (case.info.get("exit") or {}).get("code") == 0
    printed = " ".join(str(e.get("text", "")).lower() for e in case.events("print")[-20:])
    return ended and "early stop" not in printed and "stopping" not in printed

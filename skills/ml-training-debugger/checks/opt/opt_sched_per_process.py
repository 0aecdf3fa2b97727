"""scheduler.step() is called several times for each step of the optimizer."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.schedules import Schedule, near, schedules
from cognate.rules.source import LOOPS, called
from cognate.rules.training import where

_LOOP = (
    "sched = CosineAnnealingLR(opt, T_max=9 * len(loader))\n"
    "for epoch in range(9):\n    for batch in loader:\n        opt.step()\n"
)
_ONCE = _LOOP + "        sched.step()\n"
_OFTEN = _LOOP + "        for _ in range(world):\n            sched.step()\n"


@rule(
    code="OPT120",
    name="opt-sched-per-process",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"source"},
    explains={
        "opt-sched-horizon-mismatch", "opt-lr-zero-or-dead-tail", "opt-lr-too-low", "opt-lr-too-high", "loss-not-decreasing",
        "loss-diverging", "loss-plateau",
    },
    sources={
        "whole": "taxonomy, opt-sched-per-process: the ratio of calls to steps is a whole number of at least 2; 3 % off "
        "for a last window",
    },
    fires=Example(source={"t.py": _OFTEN}),
    quiet=Example(source={"t.py": _ONCE}),
)  # fmt: skip
def opt_sched_per_process(case: Case, *, whole: float = 0.03) -> Iterator[Said]:
    """The scheduler advances several times with each optimizer step, so the schedule is over in a fraction of the run.

    Once for every process (a scheduler that a launcher steps for each rank, a loop over the world size) or once for every
    micro-batch of an accumulated step, while its horizon was counted in optimizer steps. The rate reaches its minimum at one
    k-th of the run, and a cosine then runs up again. A horizon that was multiplied by the same number is right, and is let pass.
    """
    fired = False
    for schedule in schedules(case):
        finding = _measured(schedule, whole)
        if finding:
            fired = True
            yield finding
    if fired:
        return
    places = list(_repeated(case))
    for file, loop, call in places:
        yield Finding(
            title=f"the scheduler is stepped in a loop of its own at {file}:{call.lineno}, "
            f"{ast.unparse(loop.iter)} times for each optimizer step, so the schedule ends in a fraction of the run",
            proof=Proof.SOURCE,
            severity=Severity.WARNING,
            evidence=(
                Evidence("loop around scheduler.step() inside the training step", ast.unparse(loop.iter), "none", "source"),
            ),
            location=Location.of({"file": file, "line": call.lineno}),
            onset_step=0,
            fix=Fix("Step the scheduler once for each optimizer step, or multiply its horizon by the same number."),
        )
    if not places:
        made = ", ".join(f"{s.per_step:.3g} for {s.cls}" for s in schedules(case)[:3])
        yield Clear(f"calls of scheduler.step() for each optimizer step: {made}" if made else "no scheduler is stepped in a loop")


def _measured(schedule: Schedule, whole: float) -> Finding | None:
    times = round(schedule.per_step)
    planned = schedule.planned
    if times < 2 or schedule.optimizer_steps < 20 or abs(schedule.per_step - times) > whole * times:
        return None
    # Planned for all of its calls: then it counts micro-batches, as intended. Planned for something else: another fault.
    if planned is None or near(planned, schedule.made) or not near(planned, schedule.optimizer_steps):
        return None
    return Finding(
        title=f"{schedule.cls} of {where(schedule.site)} is stepped {times} times for each optimizer step "
        f"({schedule.made} calls over {schedule.optimizer_steps} steps, planned for {planned:g}): it is over after one "
        f"{times}th of the run",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("calls of scheduler.step() for each optimizer step", round(schedule.per_step, 3), "1", "events.jsonl"),
            Evidence("plan", schedule.plan, f"{schedule.made} calls", "events.jsonl"),
        ),
        location=Location.of(schedule.place or schedule.site),
        onset_step=0,
        fix=Fix(f"Step it once for each optimizer step, or plan it for {schedule.made} calls."),
    )


def _repeated(case: Case) -> Iterator[tuple[str, ast.For, ast.Call]]:
    """`for _ in range(k): scheduler.step()` in the loop that steps an optimizer, for a name that is built as a scheduler."""
    for file, tree in case.trees.items():
        for outer in ast.walk(tree):
            if not isinstance(outer, LOOPS) or not any(_steps(node) for node in outer.body):
                continue
            for loop in outer.body:
                if not isinstance(loop, ast.For) or not isinstance(loop.iter, ast.Call) or called(loop.iter) != "range":
                    continue
                call = _steps(loop.body[0]) if len(loop.body) == 1 else None
                count = loop.iter.args[0] if len(loop.iter.args) == 1 else None
                if call is None or count is None or (isinstance(count, ast.Constant) and count.value == 1):
                    continue
                built = _construction(tree, call)
                # The horizon was multiplied by the same number: right.
                if built is not None and not _mentions(tree, built, count):
                    yield file, loop, call


def _steps(node: ast.stmt) -> ast.Call | None:
    call = node.value if isinstance(node, ast.Expr) else None
    return call if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "step" else None


def _construction(tree: ast.Module, step: ast.Call) -> ast.Call | None:
    """The call that made what is stepped, where that is a scheduler: its class or maker says LR or schedule."""
    owner = ast.unparse(step.func.value) if isinstance(step.func, ast.Attribute) else ""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and any(ast.unparse(t) == owner for t in node.targets)
        ):
            name = called(node.value)
            if name.endswith("LR") or "schedule" in name.lower() or name.startswith("CosineAnnealing"):
                return node.value
    return None


def _mentions(tree: ast.Module, built: ast.Call, count: ast.expr) -> bool:
    """Whether `count` occurs in the arguments, or in what the names in them were set to."""
    wanted = {getattr(count, "attr", None) or ast.unparse(count)}
    texts = {ast.unparse(a) for a in (*built.args, *(k.value for k in built.keywords))}
    names = {getattr(n, "attr", getattr(n, "id", None)) for n in ast.walk(built) if isinstance(n, (ast.Name, ast.Attribute))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(getattr(t, "attr", getattr(t, "id", "")) in names for t in node.targets):
            texts.add(ast.unparse(node.value))
    return any(word in text for word in wanted for text in texts)

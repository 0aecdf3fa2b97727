"""The calls of the training loop stand in an order in which the step can't use this iteration's gradients."""

import ast
from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import LOOPS
from cognate.rules.training import Window, commonest_site, where, windows

Row = dict


def _events(order: list[str], grads: str = "present") -> list[Row]:
    rows: list[Row] = []
    for step in range(6):
        late = False
        for name in order:
            # Whatever follows the optimizer step is recorded in the next window.
            row = {"step": step + late, "n": len(rows), "site": {"file": "t.py", "line": 9, "function": "fit"}}
            if name == "loss":
                rows.append(row | {"kind": "loss_call", "fn": "mse_loss", "grad": True, "value": 1.0 + step})
            else:
                rows.append(row | {"kind": "call", "name": name, "value": 1.0 + step, "grads": grads})
            late = late or name == "step"
    return rows


@rule(
    code="CODE111",
    name="code-call-order",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.call"},
    explains={
        "grad-zeroed-before-step",
        "grad-none-or-zero-param",
        "grad-accum-boundary",
        "grad-accum-scaling",
        "loss-not-decreasing",
        "loss-diverging",
        "opt-lr-too-low",
        "opt-step-no-effect",
        "opt-weights-not-moving",
        "data-input-label-misaligned",
    },
    sources={
        "least": "our calibration: three steps in a row separate a habit from a special iteration",
        "share": "our calibration: 80 % of the steps looked at, as in the other rules on order",
    },
    fires=Example(events=_events(["zero_grad", "loss", "step", "backward"], "none")),
    quiet=Example(events=_events(["zero_grad", "loss", "backward", "step"])),
)
def code_call_order(case: Case, *, least: int = 3, share: float = 0.8) -> Iterator[Said]:
    """backward, step and zero_grad are called in a wrong order: the step does not use the gradients of its own iteration.

    A step before backward uses no gradients, or those of the batch before at weights that have moved. zero_grad in each
    iteration of a loop that steps after it, or after several iterations, throws all but the last gradients away. Orders with
    rules of their own (zero_grad between backward and step, clipping, schedulers) are not repeated here.
    """
    closed = [w for w in windows(case) if not w.deferred and w.named("step")]
    if len(closed) < least:
        yield Skip("too few optimizer steps were looked at closely", "run at least a few steps")
        return
    finding = _step_first(case, closed, least, share) or _wiped(case, closed, least, share) or _update_first(closed, least, share)
    yield finding or Clear(f"backward came before the step, and no gradients were lost between, in {len(closed)} steps looked at")


def _losses(case: Case) -> dict[int, list[Row]]:
    """Training losses, or where no loss of torch was called the forwards with gradient, by step."""
    calls = case.events("loss_call", grad=True) or case.events("forward", grad=True)
    found: dict[int, list[Row]] = {}
    for call in calls:
        found.setdefault(int(call["step"]), []).append(call)
    return found


def _step_first(case: Case, closed: list[Window], least: int, share: float) -> Finding | None:
    """In each window backward comes first and the loss after it: the loss waits for the next window's backward."""
    losses = _losses(case)
    looked = [w for w in closed if w.step > 0 and w.named("backward") and losses.get(w.step)]
    wrong = []
    for window in looked:
        step = window.named("step")[0]
        backward = max(call["n"] for call in window.named("backward"))
        empty = step.get("grads") in ("none", "zero")
        if backward < min(call["n"] for call in losses[window.step]) < step["n"] and (empty or _same(window, losses)):
            wrong.append((window, step, empty))
    if len(wrong) < max(least, share * len(looked)):
        return None
    site = commonest_site(step for _, step, _ in wrong)
    hollow = sum(empty for *_, empty in wrong)
    effect = "finds no gradients and changes nothing" if hollow > len(wrong) / 2 else "uses the gradients of the batch before"
    return Finding(
        title=f"optimizer.step() at {where(site)} is called before backward(): each step {effect}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("steps before their own backward", f"{len(wrong)} of {len(looked)}", "0", "events.jsonl"),
            Evidence("of these, steps that found no gradient", hollow, "0"),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix("Order the calls: zero_grad(), forward and loss, loss.backward(), optimizer.step()."),
    )


def _same(window: Window, losses: dict[int, list[Row]]) -> bool:
    """Whether what backward was called on is a loss of the window before (a forward has no value: then order alone counts)."""
    values = [row["value"] for row in losses.get(window.step - 1, ()) if row.get("value") is not None]
    given = [call["value"] for call in window.named("backward") if call.get("value") is not None]
    return any(abs(a - b) <= 1e-5 * max(1.0, abs(b)) for a in given for b in [*values, sum(values)])


def _wiped(case: Case, closed: list[Window], least: int, share: float) -> Finding | None:
    """Several backward calls from one line lead to a step, and zero_grad in the same loop wiped all of them but the last."""
    looked = [w for w in closed if len(w.named("backward")) >= 2]
    wrong = []
    for window in looked:
        backwards = [call["n"] for call in window.named("backward")]
        clears = [c for c in window.named("zero_grad") if backwards[0] < c["n"] < backwards[-1]]
        # Members of an ensemble are cleared in turn, each for a step of its own.
        owners = {str(c.get("object")) for c in clears}
        mine = {str(window.named("step")[0].get("object"))}
        if len(owners) != 1 or (owners != mine and not next(iter(owners)).startswith("model")):
            continue
        if len(clears) >= len(backwards) - 1 and len({_line(c) for c in window.named("backward")}) == 1:
            wrong.append((window, clears))
    if len(wrong) < max(least, share * len(looked)) or not wrong:
        return None
    cleared = commonest_site(c for _, clears in wrong for c in clears)
    backward = commonest_site(c for w, _ in wrong for c in w.named("backward"))
    step = commonest_site(w.named("step")[0] for w, _ in wrong)
    count = int(median(len(w.named("backward")) for w, _ in wrong))
    if not cleared or not backward or not _one_loop(case, cleared, backward):
        return None
    return Finding(
        title=f"zero_grad() at {where(cleared)} runs before each of the {count} backward calls that lead to one "
        f"optimizer.step(): the step uses the last batch alone",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("backward calls for one step", count, "1, or gradients kept between them", "events.jsonl"),
            Evidence("steps whose earlier gradients were wiped", f"{len(wrong)} of {len(looked)}", "0"),
            Evidence("the step", where(step), "in the loop of backward"),
        ),
        location=Location.of(step if step and not _one_loop(case, step, backward) else cleared),
        onset_step=0,
        fix=Fix("Step in the same iteration as backward; to accumulate instead, clear the gradients only after the step."),
    )


def _line(call: Row) -> tuple:
    site = call.get("site") or {}
    return site.get("file"), site.get("line")


def _one_loop(case: Case, one: Row, other: Row) -> bool:
    """Whether two lines share their innermost loop; an attack on the input clears and differentiates in a loop of its own."""
    return one["file"] == other["file"] and (at := _loop(case, one)) is not None and at == _loop(case, other)


def _loop(case: Case, site: Row) -> tuple[int, int] | None:
    tree = case.trees.get(site["file"])
    spans = [
        (node.lineno, node.end_lineno or 0)
        for node in (ast.walk(tree) if tree else ())
        if isinstance(node, LOOPS) and node.lineno < site["line"] <= (node.end_lineno or 0)
    ]
    return max(spans, default=None)


def _update_first(closed: list[Window], least: int, share: float) -> Finding | None:
    """scaler.update() between backward and scaler.step()."""
    looked = [w for w in closed if w.named("scaler_step") and w.named("scaler_update") and w.named("backward")]
    wrong = []
    for window in looked:
        backward, step = window.named("backward")[-1]["n"], window.named("scaler_step")[-1]["n"]
        wrong += [c for c in window.named("scaler_update") if backward < c["n"] < step][:1]
    if len(wrong) < max(least, share * len(looked)):
        return None
    site = commonest_site(wrong)
    return Finding(
        title=f"scaler.update() at {where(site)} is called before scaler.step(): the step undoes a scale that was never applied",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("steps with the update first", f"{len(wrong)} of {len(looked)}", "0", "events.jsonl"),),
        location=Location.of(site),
        onset_step=0,
        fix=Fix("Order the calls: scaler.scale(loss).backward(), scaler.step(optimizer), scaler.update()."),
    )

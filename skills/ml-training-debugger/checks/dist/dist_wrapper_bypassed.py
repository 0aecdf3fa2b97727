"""The training loop calls the module inside the data-parallel wrapper."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.ranks import apart, states, wrappers
from cognate.rules.training import commonest_site, where

_SITE = {"file": "t.py", "line": 40, "function": "train"}


def _rank(rank: int, called: str) -> list[dict]:
    group = {"kind": "rank", "name": "group", "rank": rank, "world": 2, "step": 0, "n": 1}
    wrapper = {
        "kind": "rank",
        "name": "wrapper",
        "object": "model#0",
        "module": "model#1",
        "cls": "DistributedDataParallel",
        "step": 0,
        "n": 2,
        "site": {"file": "t.py", "line": 20},
    }
    rows: list[dict] = [group, wrapper]
    for step in range(4):
        rows.append(
            {"kind": "forward", "step": step, "n": 3 + 2 * step, "object": called, "training": True, "grad": True, "site": _SITE}
        )
        own = rank if called.startswith("model#1") else 0
        rows.append(
            {
                "kind": "rank",
                "name": "state",
                "step": step,
                "n": 4 + 2 * step,
                "object": "optimizer#0",
                "tensors": 2,
                "parameters": step + own,
                "gradients": 10 * step + own,
            }
        )
    return rows


def _example(called: str) -> Example:
    return Example(events=_rank(0, called), ranks={1: {"events": _rank(1, called)}})


@rule(
    code="DIST102",
    name="dist-wrapper-bypassed",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.rank", "events.forward"},
    explains={"dist-params-diverge", "loss-not-decreasing", "loss-diverging", "eval-overfit"},
    sources={"most": "our calibration: raw forwards now and then are auxiliary; nearly all of them are the training"},
    fires=_example("model#1 Net"),
    quiet=_example("model#0 DistributedDataParallel"),
)
def dist_wrapper_bypassed(case: Case, *, most: float = 0.8) -> Iterator[Said]:
    """Training calls the module inside DistributedDataParallel: gradients are not averaged, each rank trains its own model.

    The wrapper averages gradients only in the backward of its own forward. `ddp.module(x)`, or the variable from before the
    wrapping, computes the same outputs and skips that. Evaluation and saving may unwrap; a training forward must not.
    """
    wrapped = {row["module"]: row for row in wrappers(case)}
    if not wrapped:
        yield Skip("no model was wrapped in DistributedDataParallel", "")
        return
    told = states(case)
    unequal = [step for step, rows in told if apart(rows, "gradients")]
    outer = {row["object"] for row in wrapped.values()}
    known = {*wrapped, *outer}
    training = [e for e in case.events("forward", grad=True, training=True) if str(e.get("object")).split()[0] in known]
    raw = [e for e in training if str(e["object"]).split()[0] in wrapped]
    if len(raw) <= most * len(training) or not raw:
        yield Clear(f"{len(training) - len(raw)} of {len(training)} training forwards seen went through the wrapper")
        return
    if len(unequal) < min(2, len(told)) or not told:
        yield Clear("the module is called without its wrapper, and the gradients are averaged all the same")
        return
    site = commonest_site(raw)
    wrapper = wrapped[str(raw[0]["object"]).split()[0]]
    yield Finding(
        title=f"training at {where(site)} calls the module inside {wrapper.get('cls')} of {where(wrapper.get('site'))}, not the "
        "wrapper: gradients are not averaged over the ranks",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("training forwards that bypass the wrapper", f"{len(raw)} of {len(training)}", "0", "events.jsonl"),
            Evidence(
                "steps at which the ranks' gradients differ",
                f"{len(unequal)} of {len(told)}",
                "0",
                "events.jsonl, rank-N/events.jsonl",
            ),
            Evidence("steps at which their weights differ", sum(apart(rows, "parameters") for _, rows in told), "0"),
        ),
        location=Location.of(site),
        onset_step=int(raw[0]["step"]),
        fix=Fix("Call the wrapped model in the training step; unwrap it (`.module`) for evaluation and saving only."),
    )

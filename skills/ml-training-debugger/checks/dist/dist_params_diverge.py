"""The ranks' copies of the model are not the same."""

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.ranks import Row, apart, distance, replicas, states, wrappers
from cognate.rules.source import calls
from cognate.rules.training import commonest_site, where

_SITE = {"file": "t.py", "line": 31, "function": "run"}
# Calls of stages that hand activations on: their models are different parts of one, whatever their shapes.
STAGES = {"send", "recv", "isend", "irecv", "batch_isend_irecv", "rpc_sync", "rpc_async", "PipelineStage"}


def _rank(rank: int, differs: bool) -> list[dict]:
    group = {"kind": "rank", "name": "group", "rank": rank, "world": 2, "step": 0, "n": 1}
    optimizer = {"kind": "optimizer", "object": "optimizer#0", "step": 0, "n": 2, "site": _SITE}
    said = [
        {
            "kind": "rank",
            "name": "state",
            "step": step,
            "n": 3 + step,
            "object": "optimizer#0",
            "tensors": 4,
            "parameters": 10 * step + rank * differs,
            "values": [0.1 + rank * differs, -0.3],
            "gradients": step,
            "gradient_values": [0.01, 0.02],
        }
        for step in range(5)
    ]
    return [group, optimizer, *said]


@rule(
    code="DIST101",
    name="dist-params-diverge",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.rank"},
    explains={"loss-not-decreasing", "loss-diverging", "dist-seed-wrong"},
    sources={
        "differs": "our calibration: adding up the same gradients in another order changes less than 1e-5 of the weights",
        "gradients": "our calibration: what was averaged is equal bit for bit; others differ by their size",
    },
    fires=Example(events=_rank(0, True), ranks={1: {"events": _rank(1, True)}}),
    quiet=Example(events=_rank(0, True), ranks={1: {"events": _rank(0, True)}}),
)
def dist_params_diverge(case: Case, *, differs: float = 1e-4, gradients: float = 0.01) -> Iterator[Said]:
    """The ranks hold different weights: averaged gradients fit none of them, or are not averaged at all.

    Data-parallel replicas must be equal bit for bit before every step. They start apart where weights are neither broadcast nor
    drawn from one seed, and move apart where gradients are not averaged over the ranks. DistributedDataParallel does both, if it
    is what the training loop calls. Averaging weights now and then instead (local SGD) is known by replicas that meet again.
    """
    told = states(case)
    if len(told) < 3:
        yield Skip("fewer than two ranks with the same model were recorded at the same steps", "")
        return
    first = next((i for i, (_, rows) in enumerate(told) if apart(rows, "parameters")), None)
    if first is None:
        yield Clear(f"the weights of {len(replicas(case))} ranks were equal at all {len(told)} steps compared")
        return
    if any(not apart(rows, "parameters") for _, rows in told[first + 1 :]):
        yield Clear("the ranks' weights differ between steps and are made equal again")
        return
    summed = not any(apart(rows, "gradients") for _, rows in told)
    unsummed = [(step, rows) for step, rows in told if distance(rows, "gradient_values") > gradients]
    largest = max(distance(rows, "values") for _, rows in told)
    if largest < differs and not unsummed:
        yield Clear(f"the ranks' weights differ by rounding only ({largest:.1e} of their size)")
        return
    parallel = summed or any(wrappers(part) for part in case.ranks.values()) or _reduced(case, "grad")
    if not parallel and any(name in STAGES for _, _, name in calls(case)):
        yield Skip("the ranks hand something on to each other, so their models may be different parts of one", "")
        return
    if not parallel and _reduced(case, "data"):
        yield Skip("the script averages weights, not gradients, at steps between those that were compared", "")
        return
    yield _finding(case, told, first, summed, parallel, largest)


def _reduced(case: Case, attribute: str) -> bool:
    """Whether the script reduces something of that name over the ranks, such as `p.grad`."""
    return any(
        name == "all_reduce" and any(isinstance(n, ast.Attribute) and n.attr == attribute for n in ast.walk(node))
        for _, node, name in calls(case)
    )


def _finding(case: Case, told: list[tuple[int, list[Row]]], first: int, summed: bool, parallel: bool, largest: float) -> Finding:
    step = told[first][0]
    site = _optimizer(case)
    if first == 0:
        why = "they start from different weights, so " + (
            "the averaged gradients fit none of them" if summed else "each trains a model of its own"
        )
        fix = "Broadcast rank 0's weights before training, or wrap the model in DistributedDataParallel, which does so."
    elif summed:
        why = f"they are equal at first and apart from step {step} on, although the gradients are averaged"
        fix = "Let every rank make the same step: one rate, one clipping, one decision, nothing changed on one rank alone."
    else:
        why = f"they are equal at first and apart from step {step} on: the gradients are not averaged over the ranks"
        fix = "Call the DistributedDataParallel wrapper in training, or average every gradient over the ranks before each step."
        site = commonest_site(case.events("call", name="backward")) or site
    return Finding(
        title=f"the {len(replicas(case))} ranks hold different weights: {why} ({where(site)})",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence(
                "steps at which the ranks' weights differ",
                f"{sum(apart(rows, 'parameters') for _, rows in told)} of {len(told)}, from step {step} on",
                "0",
                "events.jsonl, rank-N/events.jsonl",
            ),
            Evidence("largest difference of sampled weights, of their size", f"{largest:.2g}", "0"),
            Evidence(
                "steps at which the gradients that the optimizers found differ",
                f"{sum(apart(rows, 'gradients') for _, rows in told)} of {len(told)}",
                "0",
            ),
        ),
        location=Location.of(site),
        onset_step=step,
        fix=Fix(fix),
        severity=None if parallel else Severity.WARNING,
    )


def _optimizer(case: Case) -> Row | None:
    made = case.events("optimizer")
    return made[0].get("site") if made else None

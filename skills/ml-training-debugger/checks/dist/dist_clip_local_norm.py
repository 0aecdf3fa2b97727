"""Gradients are clipped by each rank's own norm."""

from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.ranks import apart, replicas, states
from cognate.rules.training import commonest_site, number, where

_SITE = {"file": "t.py", "line": 44, "function": "train"}


def _rank(rank: int, differs: float) -> list[dict]:
    rows: list[dict] = [{"kind": "rank", "name": "group", "rank": rank, "world": 2, "step": 0, "n": 1}]
    for step in range(6):
        norm = 2.0 + step + differs * rank
        rows.append(
            {"kind": "call", "name": "clip_grad_norm_", "step": step, "n": 2 * step, "norm": norm, "limit": 1.0, "site": _SITE}
        )
        rows.append(
            {
                "kind": "rank",
                "name": "state",
                "step": step,
                "n": 2 * step + 3,
                "object": "optimizer#0",
                "tensors": 2,
                "parameters": step,
                "gradients": 7 * step,
            }
        )
    return rows


@rule(
    code="DIST106",
    name="dist-clip-local-norm",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"events.rank", "events.call"},
    sources={
        "differs": "our calibration: the norm of one and the same gradient differs between ranks by rounding, below 1e-4",
        "least": "our calibration: three steps at which a limit was reached on some rank",
    },
    fires=Example(events=_rank(0, 0.7), ranks={1: {"events": _rank(1, 0.7)}}),
    quiet=Example(events=_rank(0, 0.0), ranks={1: {"events": _rank(1, 0.0)}}),
)
def dist_clip_local_norm(case: Case, *, differs: float = 0.01, least: int = 3) -> Iterator[Said]:
    """Each rank clips by the norm of its own gradients, before they are averaged: ranks are scaled by different factors.

    The mean of clipped gradients is not the clipped mean: its norm stays below the limit where ranks disagree, and a rank with
    one large gradient loses its say. Average first, then clip; with sharded parameters use the norm over all shards.
    Clipping each worker on purpose (private or robust training) looks the same.
    """
    parts = replicas(case)
    told = states(case)
    if len(parts) < 2 or not told:
        yield Skip("fewer than two ranks with the same model were recorded at the same steps", "")
        return
    norms = [{e["step"]: e for e in part.events("call", name="clip_grad_norm_") if e.get("norm")} for part in parts.values()]
    steps = sorted(set.intersection(*(set(found) for found in norms)))
    clipped = [step for step in steps if any(found[step]["norm"] > found[step].get("limit", 0.0) for found in norms)]
    if not steps:
        yield Skip("clip_grad_norm_ was not called", "")
        return
    if len(clipped) < least:
        yield Clear(f"gradients were clipped at {len(clipped)} of the {len(steps)} steps compared")
        return
    gaps = {step: _gap([found[step]["norm"] for found in norms]) for step in clipped}
    local = [step for step in clipped if gaps[step] > differs]
    if len(local) < max(least, 0.8 * len(clipped)):
        yield Clear(f"the ranks clip by the same norm (largest difference {max(gaps.values()):.1e})")
        return
    if sum(apart(rows, "gradients") for _, rows in told) > 0.2 * len(told):
        yield Clear("the gradients are not averaged at all: clipping is not what sets the ranks apart")
        return
    site = commonest_site(norms[0][step] for step in local)
    example = [number(found[local[0]]["norm"]) for found in norms]
    yield Finding(
        title=f"clip_grad_norm_ at {where(site)} runs before the gradients are averaged: at step {local[0]} the ranks clip by "
        f"{', '.join(example)}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("clipped steps at which the ranks' norms differ", f"{len(local)} of {len(clipped)}", "0", "events.jsonl"),
            Evidence("median difference of the norms", f"{median(gaps[s] for s in local):.0%}", "0 %"),
            Evidence("steps at which the optimizers found different gradients", "0: they are averaged after the clipping", ""),
        ),
        location=Location.of(site),
        onset_step=int(local[0]),
        fix=Fix("Average the gradients over the ranks first, then clip: the limit then holds for what the optimizer applies."),
    )


def _gap(values: list[float]) -> float:
    return (max(values) - min(values)) / max(max(values), 1e-30)

"""All ranks draw the same random numbers in training."""

from collections.abc import Iterator
from itertools import pairwise

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.ranks import replicas, states
from cognate.rules.training import modules, where

_SITE = {"file": "t.py", "line": 12, "function": "run"}
_MODEL = {"roots": [{"cls": "Net", "modules": [{"name": "drop", "cls": "Dropout", "used": True, "settings": {"p": 0.1}}]}]}


def _rank(rank: int, same: bool) -> list[dict]:
    group = {"kind": "rank", "name": "group", "rank": rank, "world": 2, "step": 0, "n": 1}
    seed = {"kind": "seed", "library": "torch", "seed": 1 if same else rank, "step": 0, "n": 2, "site": _SITE}
    common = {"kind": "rank", "name": "state", "object": "optimizer#0", "tensors": 2}
    return [group, seed, *({**common, "step": s, "n": 3 + s, "random": 10 * s + rank * (not same)} for s in range(5))]


def _example(same: bool) -> Example:
    return Example(events=_rank(0, same), model=_MODEL, ranks={1: {"events": _rank(1, same), "model": _MODEL}})


@rule(
    code="DIST104",
    name="dist-seed-wrong",
    severity=Severity.INFO,
    kind=Kind.CAUSE,
    needs={"events.rank", "model"},
    sources={"least": "our calibration: equal generators at four steps between which each drew are no chance"},
    fires=_example(True),
    quiet=_example(False),
)
def dist_seed_wrong(case: Case, *, least: int = 4) -> Iterator[Said]:
    """Every rank draws the same random numbers in training: dropout masks and noise are copies of each other.

    The ranks' generators are in the same state at every step, so the noise that should average out over the ranks does not. Seed
    all ranks alike while weights are drawn, then add the rank. Where nothing is drawn in training, equal seeds do no harm.
    """
    if len(replicas(case)) < 2:
        yield Skip("fewer than two ranks with the same model were recorded", "")
        return
    drops = [name or "." for name, m in modules(case).items() if _drops(m)]
    if not drops:
        yield Clear("the model draws no random numbers in training: it has no dropout")
        return
    told = [(step, [row.get("random") for row in rows]) for step, rows in states(case)]
    equal = [step for step, values in told if len(set(values)) == 1]
    drawn = any(a[0] != b[0] for (_, a), (_, b) in pairwise(told))
    if len(told) < least or not drawn:
        yield Skip("too few steps at which the ranks' random states were compared", "")
        return
    if len(equal) < len(told):
        yield Clear(f"the ranks' random states differ at {len(told) - len(equal)} of {len(told)} steps")
        return
    seeds = [e for e in case.events("seed") if str(e.get("library")) == "torch"]
    site = seeds[-1].get("site") if seeds else None
    yield Finding(
        title=f"all {len(replicas(case))} ranks draw the same random numbers ({where(site)}): the dropout masks of {drops[0]} "
        "are the same on each rank",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("steps at which the ranks' random states are equal", f"{len(equal)} of {len(told)}", "0", "events.jsonl"),
            Evidence("modules that draw in training", drops[:5], ""),
            *((Evidence("seed set on each rank", seeds[-1].get("seed"), "one that includes the rank"),) if seeds else ()),
        ),
        location=Location.of(site, drops[0]),
        onset_step=int(equal[0]),
        fix=Fix("After the model is built, seed with the rank: torch.manual_seed(seed + rank)."),
    )


def _drops(module: dict) -> bool:
    settings = module.get("settings") or {}
    return "Dropout" in str(module.get("cls")) and (settings.get("p") or 0) > 0 and module.get("used") is not False

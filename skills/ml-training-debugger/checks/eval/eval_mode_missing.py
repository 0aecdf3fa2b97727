"""Validation runs in training mode."""

import ast
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import called, function_at
from cognate.rules.training import commonest_site, evaluations, share, where


def _events(training: bool) -> list[dict]:
    rows = []
    for step in range(0, 60, 5):
        base = {
            "kind": "forward",
            "step": step,
            "n": 10 * step,
            "object": "model#0 Net",
            "mode_dependent": 2,
            "site": {"file": "t.py", "line": 4},
        }
        rows.append(base | {"grad": True, "training": True})
        if step % 20 == 0:
            rows += [
                base | {"grad": False, "training": training, "n": 10 * step + i, "site": {"file": "t.py", "line": 50}}
                for i in (1, 2, 3)
            ]
    return rows


@rule(
    code="EVAL101",
    name="eval-mode-missing",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.forward"},
    explains={"eval-nondeterministic", "eval-overfit"},
    core=True,
    sources={
        "least": "our calibration: two forwards without gradient in a row are an evaluation, one a step is part of training",
    },
    fires=Example(events=_events(True)),
    quiet=Example(events=_events(False)),
)
def eval_mode_missing(case: Case, *, least: int = 2) -> Iterator[Said]:
    """model.eval() is missing: validation runs in training mode, with dropout active or batch statistics in use and updated.

    The reported validation loss is then too high and noisy, and batch normalisation learns from the validation data. Models
    without dropout or batch normalisation do not care, and repeated stochastic passes over one input (Monte Carlo dropout) are
    meant.
    """
    forwards = [e for e in case.events("forward") if e.get("mode_dependent")]
    without = [e for e in evaluations(case) if e.get("mode_dependent")]
    if not without:
        yield Skip("no forward without gradient was seen on a model with dropout or batch normalisation", "")
        return
    trained = {e["object"] for e in forwards if e["grad"]}
    wrong = []
    for name in sorted({e["object"] for e in without}):
        mine = [e for e in without if e["object"] == name and e["training"]]
        per_window = Counter(e["step"] for e in mine)
        enough = max(per_window.values(), default=0) >= least or len(per_window) >= least
        repeated = _same_input(mine)
        evaluated = any(e["object"] == name and not e["training"] for e in without)
        if name in trained and enough and not (repeated and evaluated):
            wrong += mine
    if len(wrong) < 0.5 * len(without):
        yield Clear(f"{len(without) - len(wrong)} of {len(without)} forwards without gradient ran in eval mode")
        return
    site = commonest_site(wrong)
    place = _function(case, site)
    gaps = [p["result"] for p in case.probe("mode_gap")]
    extra: tuple[Evidence, ...] = ()
    if gaps:
        extra = (
            Evidence(
                "loss of one batch, same weights: training mode / eval mode", [gaps[-1]["train"], gaps[-1]["eval"]], "", "probe"
            ),
        )
    yield Finding(
        title=f"model.eval() is not called before validation{_in(place, site)}: the forward at {where(site)} runs in "
        f"training mode, with dropout or batch "
        "statistics active",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("forwards without gradient in training mode", f"{len(wrong)} of {len(without)}", "0", "events.jsonl"),
            Evidence("modules that behave differently in training", wrong[0]["mode_dependent"]),
            *extra,
        ),
        location=Location.of(place),
        onset_step=int(wrong[0]["step"]),
        fix=Fix("Call model.eval() before the validation loop and model.train() after it."),
    )


def _function(case: Case, site: dict | None) -> dict | None:
    """The evaluating function, where evaluation has one of its own: the call is missing at its top."""
    function = function_at(case, site["file"], site["line"]) if site else None
    if site is None or function is None or any(isinstance(n, ast.Call) and called(n) == "backward" for n in ast.walk(function)):
        return site
    return {"file": site["file"], "line": function.lineno, "function": function.name}


def _in(place: dict | None, site: dict | None) -> str:
    return f" in {place['function']}()" if place and place is not site else ""


def _same_input(events: list[dict]) -> bool:
    """Whether forwards come in groups over one and the same input, as Monte Carlo dropout does."""
    hashes = [tuple(t.get("hash") for t in e.get("inputs", ())) for e in events]
    pairs = [a == b for a, b in pairwise(hashes) if a and b]
    return share(pairs) > 0.5 if pairs else False

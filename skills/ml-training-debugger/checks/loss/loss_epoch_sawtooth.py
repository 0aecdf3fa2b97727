"""The training loss falls at the boundaries of epochs and stands still between them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from cognate.case.curves import logged, points, shown
from cognate.case.series import standard_error
from cognate.rules import Case, Clear, Evidence, Example, Finding, Kind, Proof, Severity, Skip, rule

_LENGTH = 40


def _parts(fall: float) -> dict:
    steps = range(5 * _LENGTH)
    losses = [3.0 - fall * (s // _LENGTH) - (0.3 - fall) * s / _LENGTH + 0.02 * (s * 7 % 5 - 2) for s in steps]
    metrics = [{"step": s, "loss": loss} for s, loss in enumerate(losses)]
    passes = [{"kind": "call", "name": "loader_iter", "object": "loader#0", "number": e, "step": e * _LENGTH} for e in range(5)]
    return {"metrics": metrics, "events": passes}


@rule(
    code="LOSS125",
    name="loss-epoch-sawtooth",
    severity=Severity.INFO,
    kind=Kind.SYMPTOM,
    needs={"metrics.loss"},
    sources={
        "sigmas": "taxonomy, loss-epoch-sawtooth: a step of more than three standard errors (a proposal there)",
        "boundaries": "our calibration: three boundaries in a row separate a habit from one lucky epoch",
        "least": "our calibration: an epoch of fewer than twenty steps shows no course of its own",
    },
    fires=Example(**_parts(0.3)),
    quiet=Example(**_parts(0.0)),
)
def loss_epoch_sawtooth(
    case: Case, *, sigmas: float = 3.0, boundaries: int = 3, least: int = 20
) -> Iterator[Finding | Clear | Skip]:
    """The training loss has a sawtooth: it falls where an epoch begins and hardly within it.

    Samples that come back are known by heart while new ones are not: the model memorises. Normal where a large model is tuned on
    little data for several epochs; elsewhere data that are not shuffled, or more epochs than they carry.
    """
    if not logged(case) and not case.events("call"):
        yield Skip("no step of a training loop was seen", "")
        return
    bounds = _epochs(case)
    losses = {step: loss for step, loss in points(case, "loss") if loss is not None} if len(bounds) > boundaries else {}
    epochs = [values for begin, end in bounds if len(values := [losses[s] for s in range(begin, end) if s in losses]) >= least]
    if len(epochs) <= boundaries:
        yield Skip("too few epochs of twenty steps or more were seen to begin", "train for more epochs")
        return
    size = max(3, min(len(e) for e in epochs) // 5)
    falls = []
    for before, after in pairwise(epochs):
        error = max(standard_error(before, len(before) // size), standard_error(after, len(after) // size))
        jump = median(before[-size:]) - median(after[:size])
        within = median(before[:size]) - median(before[-size:])
        falls.append(jump > max(sigmas * 1.4 * error, 0.03 * abs(median(before))) and jump > 2 * max(within, 0.0))
    if sum(falls) < max(boundaries, 0.75 * len(falls)):
        yield Clear(
            f"the training loss falls within its epochs, or nowhere, at {len(falls) - sum(falls)} of {len(falls)} boundaries"
        )
        return
    levels = [[shown(median(e[:size])), shown(median(e[-size:]))] for e in epochs]
    yield Finding(
        f"the train loss falls at {sum(falls)} of {len(falls)} epoch boundaries and hardly between them: known samples come back",
        Proof.MEASUREMENT,
        (Evidence("level at the beginning and end of each epoch", levels, "falling within", "metrics.jsonl: loss"),),
        onset_step=0,
    )


def _epochs(case: Case) -> list[tuple[int, int]]:
    """First step and end of each pass over the loader that most optimizer steps were made from, while they are known.

    In a log: of each whole epoch that it counts.
    """
    if logged(case):
        begins: dict[int, int] = {}
        for step, epoch in points(case, "epoch"):
            if epoch is not None:
                begins.setdefault(math.floor(epoch), step)
        return list(pairwise(begins.values())) if len(begins) > 1 else []
    passes: dict[str, list[int]] = {}
    for call in case.events("call", name="loader_iter"):
        passes.setdefault(str(call.get("object")), []).append(int(call["step"]))
    spans = [[(a, b) for a, b in pairwise(at) if b > a] for at in passes.values()]
    best = max(spans, key=lambda pairs: sum(b - a for a, b in pairs), default=[])
    # The last pass that was written down ends where an epoch of the same length would.
    return [*best, (best[-1][1], 2 * best[-1][1] - best[-1][0])] if best else []

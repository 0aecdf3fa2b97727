"""Fixes 1, 2, 4 and 5 of the reference model's trainer, each judged by what this run measured.

What was configured is no evidence. A claim is shown by the trainer's measurements (`training.json`), by the recorder's, which
knows nothing of the trainer (`metrics.jsonl`, `model.json`), and by the rules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cognate.case.case import Case
from cognate.diagnosis.training.claim import CLOSE, Claim, pairs, percent, plain, real, shown
from cognate.diagnosis.training.run import Run, mappings


def validation(run: Run) -> Claim:
    """Fix 1."""
    claim = run.claim(1, "Real validation loss on a held-out split without overlap", "validation")
    count, rows = claim.count("validation.evaluations"), claim.count("data.validation.rows")
    losses = pairs(claim.raw("validation.losses"))
    claim.say(
        f"evaluations: {shown(claim.raw('validation.evaluations'))}, rows held out: {shown(claim.raw('data.validation.rows'))}"
    )
    if rows == 0:
        claim.fault("no row was held out")
    if count == 0:
        claim.doubt("no evaluation was made")
    elif count is not None and count != len(losses):
        claim.doubt(f"{count:,} evaluations, but {len(losses):,} of their losses can be read")
    known = [(step, loss) for step, loss in losses if loss is not None]
    if len(known) < len(losses):
        claim.doubt(f"{len(losses) - len(known):,} of {len(losses):,} validation losses are not finite")
    if known:
        _course(claim, known)
    _overlap(claim)
    return claim


def _course(claim: Claim, known: list[tuple[int, float]]) -> None:
    (first, start), (last, end) = known[0], known[-1]
    different, lowest = len({loss for _, loss in known}), min(loss for _, loss in known)
    claim.say(f"loss {shown(start)} at step {first:,}")
    if len(known) == 1:
        claim.doubt("one evaluation cannot show that the value changes")
        return
    claim.say(f"{shown(end)} at step {last:,}, lowest {shown(lowest)}, different values: {different:,}")
    if different == 1:
        claim.fault(f"the validation loss is {shown(start)} at each of {len(known):,} evaluations")
    best = claim.number("validation.best")
    if best is not None and best > lowest:
        claim.doubt(f"the best is given as {shown(best)}")


def _overlap(claim: Claim) -> None:
    if claim.raw("data.split_by.overlap_removed") is None:
        claim.doubt("whether the two sides overlap was not checked for this data")
        return
    removed = claim.count("data.split_by.overlap_removed")
    claim.say(f"split {plain(claim.raw('data.split_by.method') or 'in a way that is not recorded')}")
    if removed == 0:
        claim.say("no overlap between the sides")
    elif removed:
        named = claim.raw("data.split_by.overlap")
        first = f" (the first: {plain(named[0])})" if isinstance(named, list) and named else ""
        claim.say(f"overlap found: training documents that were held out too and were taken out: {removed:,}{first}")


def accumulation(run: Run) -> Claim:
    """Fix 2."""
    claim = run.claim(2, "Token-weighted gradient accumulation to the effective batch", "accumulation")
    effective, micro = claim.count("options.effective_batch"), claim.count("options.micro_batch")
    batch, part = shown(claim.raw("options.effective_batch")), shown(claim.raw("options.micro_batch"))
    claim.say(f"effective batch of {batch} rows, micro-batches of {part}")
    rows = [(step, row) for step, row in run.steps() if real(row.get("loss")) is not None]
    calls = {real(row.get("backwards", 1)) for _, row in rows}
    if not rows:
        claim.doubt("backward calls were not recorded")
    elif len(calls) > 1 or None in calls:
        claim.doubt("the number of backward calls differs from step to step")
    elif effective and micro and (made := int(calls.pop() or 0)) > 0:
        claim.say(f"backward calls in each of {len(rows):,} observed steps: {made}")
        if effective <= micro:
            claim.doubt("switched off: one micro-batch is the whole effective batch")
        elif made * micro == effective:
            claim.say("by one process")
            _token_weights(claim, rows, run.case.training_log)
        elif effective % (made * micro) == 0 and made * micro < effective:
            claim.doubt(f"{made} x {micro:,} rows leave {effective // (made * micro)} processes; only one was observed")
        else:
            claim.fault(f"{made} x {micro:,} rows are not the effective batch of {effective:,}")
    else:
        claim.doubt("these numbers cannot all be")
    return claim


def _token_weights(claim: Claim, rows: list[tuple[int, Mapping[str, Any]]], log: list[dict[str, Any]]) -> None:
    """The losses that backward was called on must sum to the mean over all scored tokens of the step, which the trainer logs."""
    logged = {row["step"]: real(row.get("objective", row.get("loss"))) for row in log if "loss" in row}
    compared = [
        math.isclose(row["loss"] * row.get("backwards", 1), wanted, rel_tol=CLOSE)
        for step, row in rows
        if (wanted := logged.get(step)) is not None
    ]
    if not compared:
        claim.doubt("the weight of each token was not measured: no step was both logged and observed")
    elif all(compared):
        claim.say(
            f"their losses sum to the mean over the step's scored tokens in {len(compared):,} of {len(compared):,} logged steps"
        )
    else:
        claim.fault(
            "the losses of the micro-batches do not sum to the mean over the step's scored tokens in "
            f"{compared.count(False):,} of {len(compared):,} logged steps"
        )


def balance(run: Run) -> Claim:
    """Fix 4."""
    claim = run.claim(4, "Parameter balance", "balance")
    total, parts, shares = claim.count("parameters.total"), claim.raw("parameters.parts"), claim.raw("parameters.shares")
    parts, shares = (value if isinstance(value, dict) else {} for value in (parts, shares))
    listed = ", ".join(f"{plain(name)} {percent(share)}" for name, share in list(shares.items())[:16])
    claim.say(f"parameters: {shown(claim.raw('parameters.total'))}" + (f" ({listed})" if listed else ""))
    counts = {name: real(count) for name, count in parts.items()}
    if not counts or not total:
        claim.doubt("the parts were not counted")
    elif any(count is None or count < 0 for count in counts.values()) or sum(count or 0 for count in counts.values()) != total:
        claim.doubt("the parts do not sum to the total")
    elif shares.keys() != parts.keys() or not all(
        abs((real(share) or 0.0) - (counts[name] or 0) / total) <= CLOSE for name, share in shares.items()
    ):
        claim.doubt("the shares are not those of the parts")
    seen = observed_parameters(run.case)
    if seen and total:
        if seen == total:
            claim.say("the recorder counted the same in the running model")
        else:
            claim.fault(f"the recorder counted {shown(seen)} in the running model")
    return claim


def observed_parameters(case: Case) -> int:
    """Parameters of the largest root module that the recorder saw, tied ones counted once; 0 where it saw none."""
    totals = [0]
    for root in mappings(case.model.get("roots")):
        rows = mappings(root.get("parameters"))
        own = {str(row.get("storage") or f"row {number}"): real(row.get("numel")) or 0 for number, row in enumerate(rows)}
        totals.append(int(sum(own.values())))
    return max(totals)


def halting(run: Run) -> Claim:
    """Fix 5."""
    claim = run.claim(5, "ACT: halting differs between tokens and saves work", "halting")
    if claim.raw("halting") is None:
        claim.doubt("halting was not measured: no evaluation was made")
    else:
        _halting_spread(claim)
    saved = claim.number("inference.flops_saved", high=1)
    claim.say(f"floating-point operations saved at inference: {percent(claim.raw('inference.flops_saved'))}")
    if saved is not None and saved <= 0:
        claim.fault("early exit saves no work at inference")
    return claim


def _halting_spread(claim: Claim) -> None:
    answers = claim.count("halting.answers")
    mean = claim.number("halting.mean", 1, answers or math.inf)
    variance = claim.number("halting.variance", 0)
    claim.number("halting.information", -CLOSE)
    histogram = claim.raw("halting.histogram")
    shares = [real(share) for share in histogram] if isinstance(histogram, list) else []
    claim.say(
        f"answers used: {shown(claim.raw('halting.mean'))} of {shown(claim.raw('halting.answers'))} on average, variance over "
        f"tokens {shown(claim.raw('halting.variance'))}, information {shown(claim.raw('halting.information'))} nats, share of "
        f"tokens that stop at each: {histogram_text(histogram)}"
    )
    if len(shares) != answers or any(share is None or not 0 <= share <= 1 for share in shares):
        claim.doubt("the histogram cannot be")
    elif abs(sum(share or 0.0 for share in shares) - 1) > CLOSE:
        claim.doubt("the histogram does not sum to one")
    elif mean is not None and variance is not None:
        moments = [sum(n**power * (share or 0.0) for n, share in enumerate(shares, start=1)) for power in (1, 2)]
        if abs(moments[0] - mean) > 0.01 or abs(moments[1] - moments[0] ** 2 - variance) > 0.01:
            claim.doubt("the histogram has another mean or variance")
    if answers and mean is not None and mean >= answers:
        claim.fault("every token uses the maximum")
    elif variance == 0:
        claim.fault("every token uses the same number of answers: the variance is 0")


def histogram_text(histogram: Any) -> str:
    """Shares in percent, one after the other."""
    return " / ".join(percent(share) for share in histogram[:64]) if isinstance(histogram, list) and histogram else shown(None)

"""Fixes 3 and 6: how large the steps were, when they ended, and what limited them. The sixth has three parts with a mark each."""

from __future__ import annotations

import math

from cognate.case.case import Case
from cognate.diagnosis.training.claim import CLOSE, Claim, pairs, percent, plain, real, shown
from cognate.diagnosis.training.run import Run, mappings


def learning_rates(run: Run) -> Claim:
    """Fix 3."""
    claim = run.claim(3, "Conservative learning rates, decay on matrices only", "rates")
    limits = [claim.number("options.learning_rate", 0), real(claim.raw("options.muon_learning_rate"))]
    rates = [rate for _, row in run.steps() if (rate := real(row.get("lr"))) is not None]
    claim.say(f"{plain(claim.raw('options.optimizer'))}, peak set to {shown(claim.raw('options.learning_rate'))}")
    if rates:
        claim.say(f"highest rate used {shown(max(rates))}")
        peak = max((limit for limit in limits if limit is not None), default=math.inf)
        if max(rates) > peak * (1 + CLOSE):
            claim.fault(f"the rate {shown(max(rates))} was used, above the peak that was set")
    else:
        claim.doubt("the rates that were used were not recorded")
    size = run.outcomes.get("opt-lr-too-high")
    if size is not None and size.status == "clear":
        claim.say(f"steps of a sound size: {plain(size.evidence)}")
    elif size is None or not size.findings:
        claim.doubt(f"the size of the steps was not judged{f': {plain(size.reason)}' if size and size.reason else ''}")
    _decay(claim, run.case)
    return claim


def _decay(claim: Claim, case: Case) -> None:
    """Which tensors the optimizers decay, as the recorder found them."""
    decays = {
        (str(optimizer.get("label")), str(index)): real(group.get("weight_decay")) or 0.0
        for optimizer in mappings(case.model.get("optimizers"))
        for index, group in enumerate(mappings(optimizer.get("groups")))
    }
    owned = [
        (row, decays[place])
        for root in mappings(case.model.get("roots"))
        for row in mappings(root.get("parameters"))
        if (place := (str(row.get("optimizer")), str(row.get("group")))) in decays
    ]
    if not owned:
        claim.doubt("which tensors decay was not recorded")
        return
    decayed = [row for row, decay in owned if decay > 0]
    flat = [plain(row.get("name")) for row in decayed if isinstance(row.get("shape"), list) and len(row["shape"]) < 2]
    claim.say(f"weight decay on {len(decayed):,} of {len(owned):,} tensors" + ("" if flat or not decayed else ", none a vector"))
    if flat:
        claim.fault(f"vectors that decay: {len(flat):,}, {flat[0]} among them")


def early_stopping(run: Run) -> Claim:
    """Fix 6, first part. The evaluations are gone through again: they say when patience was exhausted."""
    claim = run.claim(6, "Early stopping", "stopping")
    patience, delta = claim.count("options.patience"), claim.number("options.minimum_delta", 0)
    ended, losses = claim.raw("ended"), pairs(claim.raw("validation.losses"))
    if patience == 0:
        claim.doubt("switched off: patience 0")
    if patience and delta is not None:
        claim.say(f"patience {patience:,}, minimum improvement {shown(delta)}")
        if not losses:
            claim.doubt("no evaluation was made that it could act on")
        else:
            _replay(claim, losses, patience, delta, str(ended))
    claim.say(f"ended: {plain(shown(ended))}")
    return claim


def _replay(claim: Claim, losses: list[tuple[int, float | None]], patience: int, delta: float, ended: str) -> None:
    reference, waited, over = math.inf, 0, 0
    for step, loss in losses:
        improved = loss is not None and loss < reference - delta
        reference, waited = (loss, 0) if improved and loss is not None else (reference, waited + 1)
        over = over or (step if waited >= patience else 0)
    if ended == "early stopping" and waited < patience:
        claim.fault(f"it stopped after {waited:,} evaluations without improvement, before patience was exhausted")
    elif ended == "early stopping":
        claim.say(f"triggered at step {losses[-1][0]:,}")
    elif over and over < losses[-1][0]:
        claim.fault(f"patience was exhausted at step {over:,}, and the run went on")
    elif len(losses) <= patience:
        claim.doubt(f"evaluations made: {len(losses):,}, too few for it to act")
    else:
        claim.say(f"not triggered, evaluations without improvement at the end: {waited:,}")


def schedule(run: Run) -> Claim:
    """Fix 6, second part: the rates that the optimizers used, against a linear rise and half a cosine (arXiv:1608.03983)."""
    claim = run.claim(6, "Warm-up and cosine by optimizer step", "schedule")
    steps, floor = claim.count("options.steps"), claim.number("options.min_lr_ratio", 0, 1)
    set_to = [real(claim.raw(f"options.{name}")) for name in ("learning_rate", "muon_learning_rate")]
    peaks = [rate for rate in set_to if rate is not None and rate > 0]
    rates: dict[str, list[tuple[int, float]]] = {}
    for step, row in run.steps():
        if (rate := real(row.get("lr"))) is not None:
            rates.setdefault(str(row.get("optimizer")), []).append((step, rate))
    if not rates:
        claim.doubt("the rates that were used were not recorded")
    for used in rates.values():
        top = max(used, key=lambda pair: pair[1])
        points = dict.fromkeys((used[0], top, used[-1]))
        claim.say("rates used: " + ", ".join(f"{shown(rate)} at step {step:,}" for step, rate in points))
        if not steps or floor is None or not peaks:
            claim.doubt("the curve that was set is not known")
        else:
            warmup = _warmup(claim, used, top, peaks)
            if warmup is None:
                claim.doubt("the warm-up lies in a part of the run that was not observed")
            elif len(used) < 3:
                claim.doubt("too few steps were observed to see a curve")
            elif not any(_follows(used, peak, steps, warmup, floor) for peak in peaks):
                claim.fault(f"the rates are not those of {warmup:,} steps of warm-up and a cosine over {steps:,} steps")
            else:
                claim.say(f"as set: warm-up steps {warmup:,}, then half a cosine to {percent(floor)} at step {steps:,}")
    return claim


def _warmup(claim: Claim, used: list[tuple[int, float]], top: tuple[int, float], peaks: list[float]) -> int | None:
    """Steps of warm-up: as they were set, else as they were seen."""
    if claim.raw("options.warmup_steps") is not None:
        return claim.count("options.warmup_steps")
    if used[0][0] != 1:
        return None
    return top[0] if any(math.isclose(top[1], peak, rel_tol=CLOSE) for peak in peaks) else 0


def _follows(used: list[tuple[int, float]], peak: float, steps: int, warmup: int, floor: float) -> bool:
    def wanted(step: int) -> float:
        if step <= warmup:
            return peak * step / warmup
        progress = min(1.0, (step - warmup) / max(1, steps - warmup))
        return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))

    return all(math.isclose(rate, wanted(step), rel_tol=CLOSE, abs_tol=CLOSE * peak) for step, rate in used)


def clipping(run: Run) -> Claim:
    """Fix 6, third part."""
    claim = run.claim(6, "Gradient clipping", "clipping")
    median, largest = claim.number("gradient.median_norm", 0), claim.number("gradient.largest_norm", 0)
    logged, clipped = claim.count("gradient.logged"), claim.count("gradient.clipped")
    claim.say(
        f"unclipped norm {shown(claim.raw('gradient.median_norm'))} (median), {shown(claim.raw('gradient.largest_norm'))} at most"
    )
    if claim.raw("gradient.clip_norm") is None:
        claim.doubt("switched off: the norm is recorded and nothing is clipped")
        return claim
    limit = claim.number("gradient.clip_norm", 0)
    share = f" ({clipped / logged:.0%})" if clipped is not None and logged and clipped <= logged else ""
    claim.say(
        f"limit {shown(claim.raw('gradient.clip_norm'))}, clipped in {shown(claim.raw('gradient.clipped'))} of "
        f"{shown(claim.raw('gradient.logged'))} logged steps{share}"
    )
    if None in (median, largest, logged, clipped, limit):
        return claim
    if not logged or (clipped or 0) > logged or (median or 0) > (largest or 0):
        claim.doubt("these numbers cannot all be")
    elif bool(clipped) != ((largest or 0) > (limit or 0)):
        claim.fault("the steps that were clipped are not those above the limit")
    after = [norm for _, row in run.steps() if (norm := real(row.get("grad_norm_clipped"))) is not None]
    if after and limit:
        claim.say(f"largest norm after clipping, as the recorder saw it: {shown(max(after))}")
        if max(after) > limit * (1 + CLOSE):
            claim.fault("gradients above the limit reached the optimizer")
    return claim

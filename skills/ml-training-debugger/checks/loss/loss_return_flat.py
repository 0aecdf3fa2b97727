"""The logged return of an agent does not rise."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cognate.case.curves import Curve, game, shown, user_curves
from cognate.case.series import block_medians, finite, standard_error, trend
from cognate.rules import Case, Clear, Evidence, Example, Finding, Kind, Proof, Severity, Skip, rule

_LOG = {"origin": "a log", "log": {"step_unit": "step", "training": "reinforcement"}}
_RETURN = re.compile(r"(^|[^a-z])(ep_?rew\w*|episode_?re\w*|returns?(_history|_mean)?|rewards?(_mean)?|score)([^a-z]|$)")
_OTHER = re.compile(r"std|min|max|loss|norm|len|step|intrinsic|critic")


def _rows(rise: float) -> list[dict]:
    return [{"step": s, "user": {"rollout/ep_rew_mean": rise * s + 3.0 * (s * 7 % 5 - 2)}} for s in range(100)]


@rule(
    code="LOSS130",
    name="loss-return-flat",
    severity=Severity.WARNING,
    kind=Kind.SYMPTOM,
    needs={"log"},
    sources={
        "least": "our calibration: agents explore first; fewer than forty values say nothing",
        "sigmas": "the best of ten levels of pure noise lies about two standard errors above the first; four are a rise",
    },
    fires=Example(info=_LOG, metrics=_rows(0.0)),
    quiet=Example(info=_LOG, metrics=_rows(1.0)),
)
def loss_return_flat(case: Case, *, least: int = 40, sigmas: float = 4.0) -> Iterator[Finding | Clear | Skip]:
    """The return of the agent is on a plateau: over the whole log it never rises above its noise.

    An agent's losses may rise and fall as its data change; its return is what has to grow. Usual reasons: a reward that is too
    sparse or wrongly scaled, no exploration, a critic that diverges. An agent that is as good as it can be from the start
    is not meant, but a log can't tell.
    """
    names = [name for name in case.metrics.names if name.startswith("user.") and _is_return(name[5:])]
    curves = [curve for name in names for curve in user_curves(case, name[5:]) if len(finite(curve.values)) >= least]
    if game(case) != "reinforcement" or not curves:
        yield Skip(f"no return of an agent with {least} values was logged", "log the mean return of the episodes")
        return
    judged = [(curve, _flat(curve, sigmas)) for curve in curves]
    if not all(flat for _, flat in judged):
        rising = next(curve for curve, flat in judged if not flat)
        levels = block_medians(rising.values, 10)
        yield Clear(f"{rising.title} goes from {shown(levels[0])} to {shown(levels[-1])}")
        return
    curve = curves[0]
    levels = block_medians(curve.values, 10)
    yield Finding(
        f"the return does not rise: {curve.title} is {shown(levels[0])} at first and {shown(levels[-1])} at last, over "
        f"{len(curve.values)} values",
        Proof.MEASUREMENT,
        (Evidence("levels of the return, by tenths of the log", [shown(level) for level in levels], "rising", curve.source),),
        onset_step=curve.onset(0),
    )


def _is_return(name: str) -> bool:
    return bool(_RETURN.search(name.lower())) and not _OTHER.search(name.lower().rpartition("/")[2])


def _flat(curve: Curve, sigmas: float) -> bool:
    levels = block_medians(curve.values, 10)
    slope = trend(curve.values)
    error = standard_error(curve.values, 10)
    spread = max(finite(curve.values)) - min(finite(curve.values))
    best = max(levels[len(levels) // 2 :])
    rose = best - levels[0] > max(sigmas * error, 0.15 * spread)
    return slope is not None and not (rose and (slope.rises or levels[-1] > levels[0]))

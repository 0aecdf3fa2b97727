"""Clipping is called where it cannot act."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import Window, commonest_site, where, windows

CLIPS = ("clip_grad_norm_", "clip_grad_value_")


def _events(order: list[str]) -> list[dict]:
    rows, n = [], 0
    for step in range(6):
        for name in order:
            n += 1
            rows.append({"kind": "call", "step": step, "n": n, "name": name, "site": {"file": "t.py", "line": n % 9}})
    return rows


def _misplaced(window: Window) -> tuple[str, dict] | None:
    """("before backward" or "after step", the clip) where every clip of the window stands where it cannot act."""
    names = window.names()
    clips = window.named(*CLIPS)
    if not clips or "backward" not in names or "step" not in names:
        return None
    backwards = [call["n"] for call in window.named("backward")]
    step = window.named("step")[-1]["n"]
    if all(clip["n"] < backwards[0] for clip in clips):
        # Behind the last step and before this backward: the loop may have clipped after its step.
        zeros = [call["n"] for call in window.named("zero_grad")]
        late = not zeros or clips[0]["n"] < zeros[0]
        return ("after step" if late and window.step > 0 else "before backward"), clips[0]
    return None if any(backwards[0] < clip["n"] < step for clip in clips) else ("after step", clips[0])


@rule(
    code="GRAD107",
    name="grad-clip-ineffective",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.call"},
    explains={"grad-exploding", "loss-diverging", "loss-nonfinite", "opt-lr-too-high", "model-dead-relu", "opt-weights-diverge"},
    sources={"least": "our calibration: three windows in a row separate a habit from a special first step"},
    fires=Example(events=_events(["zero_grad", "backward", "step", "clip_grad_norm_"])),
    quiet=Example(events=_events(["zero_grad", "backward", "clip_grad_norm_", "step"])),
)
def grad_clip_ineffective(case: Case, *, least: int = 3) -> Iterator[Said]:
    """Gradient clipping has no effect: it runs before backward or after the step, not between them.

    clip_grad_norm_ scales the gradients that exist when it is called. Before backward they are none or old; after the step it
    is too late. The run then trains unclipped while the code says otherwise.
    """
    closed = [w for w in windows(case) if w.named("backward") and not w.deferred]
    shifted = [w for w in closed if w.step > 0]
    clipping = [w for w in shifted if w.named(*CLIPS)]
    if len(clipping) < least:
        yield Skip("the script does not clip gradients in the steps looked at", "")
        return
    wrong = [found for found in map(_misplaced, clipping) if found]
    if len(wrong) < max(least, 0.8 * len(clipping)):
        yield Clear(f"clipping stands between backward and step in {len(clipping)} steps looked at")
        return
    when, site = wrong[-1][0], commonest_site(clip for _, clip in wrong)
    yield Finding(
        title=f"gradient clipping at {where(site)} runs {when}, where it has no effect on the update",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence(f"steps with the clip {when}", f"{len(wrong)} of {len(clipping)}", "0", "events.jsonl"),),
        location=Location.of(site),
        onset_step=int(clipping[0].step),
        fix=Fix("Call clip_grad_norm_ after loss.backward() and before optimizer.step()."),
    )

"""Clipping sees gradients that are still multiplied by the loss scale."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import commonest_site, where, windows


def _events(order: list[str]) -> list[dict]:
    rows, n = [], 0
    for step in range(6):
        for name in order:
            n += 1
            rows.append(
                {"kind": "call", "step": step, "n": n, "name": name, "scale": 65536.0, "site": {"file": "t.py", "line": n % 7}}
            )
    return rows


@rule(
    code="NUM101",
    name="num-clip-before-unscale",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.call"},
    explains={"loss-not-decreasing", "opt-lr-too-low"},
    sources={"least": "our calibration: three windows in a row are a habit"},
    fires=Example(events=_events(["backward", "clip_grad_norm_", "scaler_step", "scaler_unscale", "step"])),
    quiet=Example(events=_events(["backward", "scaler_unscale", "clip_grad_norm_", "scaler_step", "step"])),
)
def num_clip_before_unscale(case: Case, *, least: int = 3) -> Iterator[Said]:
    """Gradients are clipped before scaler.unscale_(): the limit meets scaled gradients, so every step is clipped to nothing.

    With a loss scale of 65,536 a limit of 1.0 acts like one of 1.5e-5. The learning curve becomes very flat. Call
    scaler.unscale_(optimizer) between backward and clip_grad_norm_.
    """
    scaled = [w for w in windows(case) if w.named("scaler_step") and w.named("clip_grad_norm_", "clip_grad_value_")]
    if len(scaled) < least:
        yield Skip("the script does not clip gradients under a GradScaler", "")
        return

    def early(names: list[str]) -> bool:
        clip = next(i for i, n in enumerate(names) if n.startswith("clip_grad"))
        return "scaler_unscale" not in names[:clip]

    wrong = [w for w in scaled if early(w.names())]
    if len(wrong) < 0.8 * len(scaled):
        yield Clear("gradients are unscaled before they are clipped")
        return
    site = commonest_site(c for w in wrong for c in w.named("clip_grad_norm_", "clip_grad_value_"))
    scale = next((c.get("scale") for c in wrong[0].named("scaler_step")), None)
    yield Finding(
        title=f"gradients are clipped at {where(site)} before scaler.unscale_(): the limit applies to gradients scaled by "
        f"{scale:g}"
        if scale
        else f"gradients are clipped at {where(site)} before scaler.unscale_()",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("steps that clip before unscaling", f"{len(wrong)} of {len(scaled)}", "0", "events.jsonl"),),
        location=Location.of(site),
        onset_step=int(wrong[0].step),
        fix=Fix("Call scaler.unscale_(optimizer) before clip_grad_norm_."),
    )

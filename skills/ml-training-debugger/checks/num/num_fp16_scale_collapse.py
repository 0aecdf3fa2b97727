"""The loss scale collapses, and most optimizer steps are skipped."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import number, where


def _events(skipped: int) -> list[dict]:
    site = {"file": "t.py", "line": 30, "function": "train"}
    book = {"object": "scaler#0", "steps": 200, "skipped": skipped, "skips": list(range(1, skipped + 1)), "growth_interval": 2000}
    return [
        {
            "kind": "scaler",
            "step": 200 - skipped,
            **book,
            "first_scale": 65536.0,
            "last_scale": 65536.0 / 2**skipped,
            "site": site,
        }
    ]


@rule(
    code="NUM122",
    name="num-fp16-scale-collapse",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.scaler"},
    explains={"loss-not-decreasing", "opt-step-no-effect", "loss-nonfinite", "opt-lr-too-low", "opt-sched-before-opt"},
    sources={
        "warm": "taxonomy, num-fp16-scale-collapse: the first ten or so skipped steps find the scale and are healthy",
        "share": "taxonomy, num-fp16-scale-collapse: more than 5 % of the steps skipped after that",
        "least": "our calibration: twenty steps, below which a share of them says little",
        "scale": "taxonomy, num-fp16-scale-collapse: below 1 the scale no longer protects small gradients",
    },
    fires=Example(events=_events(150)),
    quiet=Example(events=_events(3)),
)
def num_fp16_scale_collapse(
    case: Case, *, warm: int = 10, share: float = 0.05, least: int = 20, scale: float = 1.0
) -> Iterator[Said]:
    """The loss scale collapses: the scaled gradients are not finite again and again, and the GradScaler skips most steps.

    A skipped step changes no weight, while schedules and counters may go on. A few skips at the start are how the scale is found,
    and one in a growth interval is its upkeep. When they do not end, the gradients are non-finite at any scale: an overflow in
    float16, a NaN in the loss, or a learning rate that is too high. Use bfloat16, or find the layer whose output overflows.
    """
    books = {str(event.get("object")): event for event in case.events("scaler")}
    worst = max(books.values(), key=lambda book: book["skipped"], default=None)
    if worst is None or worst["steps"] < least:
        yield Skip(f"fewer than {least} steps were made under a GradScaler", "")
        return
    late = worst["skipped"] - min(warm, sum(1 for number_ in worst["skips"] if number_ <= 2 * warm))
    last = float(worst.get("last_scale") or worst["first_scale"])
    if late <= share * worst["steps"] and not (last < scale and worst["skipped"] > 1):
        yield Clear(f"{worst['skipped']} of {worst['steps']} steps were skipped, the loss scale ends at {last:g}")
        return
    site = next((e["site"] for e in case.events("scaler", object=worst.get("object")) if e.get("site")), None)
    first = worst["skips"][0] if worst["skips"] else 1
    yield Finding(
        title=f"the loss scale falls from {worst['first_scale']:g} to {number(last)}: {worst['skipped']} of {worst['steps']} "
        f"steps at {where(site)} are skipped because their gradients are not finite",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence(
                "steps that were skipped",
                f"{worst['skipped']} of {worst['steps']}",
                f"≤ {share:.0%} after the first",
                "events.jsonl",
            ),
            Evidence("loss scale at first and at last", [worst["first_scale"], last], f"≥ {scale:g}"),
        ),
        location=Location.of(site),
        onset_step=max(0, min(first - 1, int(worst["step"]))),
        fix=Fix(
            "Find what is not finite: bfloat16 has float32's range and needs no scaler; keep softmax, exp and losses in float32.",
            ("lower the learning rate, or clip after scaler.unscale_(optimizer)",),
        ),
    )

"""Validation builds graphs that nobody differentiates."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import function_at
from cognate.rules.training import commonest_site, where


def _events(grad: bool) -> list[dict]:
    rows = []
    for step in range(12):
        train = {"kind": "forward", "step": step, "n": 10 * step, "object": "model#0 Net", "grad": True, "training": True}
        rows.append(train | {"site": {"file": "t.py", "line": 10}})
        rows.append({"kind": "call", "name": "backward", "step": step, "n": 10 * step + 1})
        if step % 4 == 3:
            rows.append({"kind": "call", "name": "eval", "object": "model#0 Net", "step": step, "n": 10 * step + 2})
            held = train | {"training": False, "grad": grad, "site": {"file": "t.py", "line": 30}}
            rows += [held | {"n": 10 * step + 3 + i} for i in range(3)]
            rows.append({"kind": "call", "name": "train", "object": "model#0 Net", "step": step, "n": 10 * step + 8})
    return rows


@rule(
    code="EVAL124",
    name="eval-grad-enabled",
    severity=Severity.INFO,
    kind=Kind.PRACTICE,
    needs={"events.forward", "events.call"},
    sources={"least": "our calibration: two evaluations with two forwards each are the habit of a script, one is a trial"},
    fires=Example(events=_events(True)),
    quiet=Example(events=_events(False)),
)
def eval_grad_enabled(case: Case, *, least: int = 2) -> Iterator[Said]:
    """Validation runs with gradients enabled: each batch builds a graph that is never differentiated.

    It costs memory (all activations are kept until the result is dropped) and time, and changes no number. Wrap the evaluation in
    torch.no_grad() or torch.inference_mode(). A backward in evaluation mode (test-time training, adversarial samples, saliency)
    needs its graph and is left alone.
    """
    switches = sorted([*case.events("call", name="eval"), *case.events("call", name="train")], key=lambda e: e["n"])
    backwards = [e["n"] for e in case.events("call", name="backward")]
    forwards = case.events("forward")
    built, seen = [], 0
    for index, switch in enumerate(switches):
        if switch["name"] != "eval":
            continue
        end = next((s["n"] for s in switches[index + 1 :] if s["name"] == "train"), float("inf"))
        inside = [e for e in forwards if switch["n"] < e["n"] < end and e["object"] == switch.get("object") and not e["training"]]
        if len(inside) < least:
            continue
        seen += 1
        # Without a switch back the model may be trained in evaluation mode, which is another matter.
        if end < float("inf") and all(e["grad"] for e in inside) and not any(switch["n"] < n < end for n in backwards):
            built.append(inside)
    if not seen:
        yield Skip("no evaluation of several forwards between eval() and train() was seen", "")
        return
    if len(built) < least or len(built) < seen or _steps_inside(built):
        yield Clear(f"{seen - len(built)} of {seen} evaluations ran without gradient")
        return
    site = commonest_site([e for inside in built for e in inside])
    function = function_at(case, site["file"], site["line"]) if site else None
    place = {"file": site["file"], "line": function.lineno, "function": function.name} if site and function else site
    yield Finding(
        title=f"validation builds graphs for nothing: the forward at {where(site)} runs with gradients, and no backward follows",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("evaluations with gradients enabled", f"{len(built)} of {seen}", "0", "events.jsonl"),),
        location=Location.of(place),
        onset_step=int(built[0][0]["step"]),
        fix=Fix("Put the evaluation under `with torch.no_grad():`, or decorate its function with @torch.no_grad()."),
    )


def _steps_inside(built: list[list[dict]]) -> bool:
    """Whether optimizer steps were taken during an evaluation: then it is training in another mode."""
    return any(inside[0]["step"] != inside[-1]["step"] for inside in built)

"""A loss term has weight zero in what is differentiated."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import commonest_site, short, starved, train_losses, where


def _calls(coefficient: float) -> list[dict]:
    rows = []
    for step in (0, 1, 5, 20, 60, 100):
        base = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "step": step}
        rows.append(base | {"site": {"file": "t.py", "line": 40}, "coefficient": 1.0})
        rows.append(base | {"site": {"file": "t.py", "line": 41}, "coefficient": coefficient})
    return rows


@rule(
    code="CODE101",
    name="code-unused-loss-term",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.loss_call"},
    explains={"loss-not-decreasing", "grad-none-or-zero-param"},
    sources={"reach": "our calibration: a term that is annealed in has a weight by the second half of the run"},
    fires=Example(events=_calls(0.0), info={"integrity": {"steps_seen": 101}}),
    quiet=Example(events=_calls(0.3), info={"integrity": {"steps_seen": 101}}),
)
def code_unused_loss_term(case: Case, *, reach: float = 0.5) -> Iterator[Said]:
    """A loss term has no effect: it is multiplied by zero, or computed and never added to what is differentiated.

    Read off when backward reaches the term. Usual places: a weight list whose first entries are zero, integer division of an
    annealing ratio, a flag that switches the term off. A term that is annealed in later is left alone.
    """
    looked = [c for c in train_losses(case) if "coefficient" in c]
    if not looked:
        yield Skip("the coefficients of the losses could not be read", "use torch.nn.functional losses or their modules")
        return
    sites: dict[tuple, list[dict]] = {}
    for call in looked:
        site = call.get("site") or {}
        sites.setdefault((site.get("file"), site.get("line")), []).append(call)
    total = max(case.steps, 1)
    for (_, line), calls in sorted(sites.items(), key=str):
        # One line may compute several terms (deep supervision in a loop): look at each position in its step.
        lanes: dict[int, list[dict]] = {}
        seen: dict[int, int] = {}
        for call in calls:
            lane = seen.get(call["step"], 0)
            seen[call["step"]] = lane + 1
            lanes.setdefault(lane, []).append(call)
        for lane, rows in sorted(lanes.items()):
            steps = [r["step"] for r in rows]
            if line and len(rows) >= 4 and all(r["coefficient"] == 0.0 for r in rows) and max(steps) >= reach * total:
                which = f" (number {lane + 1} of {len(lanes)} computed there)" if len(lanes) > 1 else ""
                yield Finding(
                    title=f"the {rows[0]['fn']} term at {where(rows[0]['site'])}{which} is multiplied by zero: it has no "
                    f"effect on training",
                    proof=Proof.MEASUREMENT,
                    evidence=(
                        Evidence(
                            "coefficient in what is differentiated", 0.0, "not 0", f"events.jsonl, steps {steps[0]}–{steps[-1]}"
                        ),
                    ),
                    location=Location.of(rows[0]["site"]),
                    onset_step=steps[0],
                    fix=Fix("Give the term its weight, or stop computing it."),
                )
                return
    never = _never_added(case)
    if never:
        yield never
        return
    yield Clear(f"each of {len(sites)} loss terms has a weight in the objective")


def _never_added(case: Case) -> Finding | None:
    """A loss that backward never reaches while parameters that the optimizer owns get no gradient: it was meant to teach them.

    A loss that is only computed for a log looks the same from outside, but starves nothing.
    """
    reached = {c["step"] for c in train_losses(case) if c.get("coefficient")}
    idle = [c for c in train_losses(case) if "coefficient" not in c and c["step"] in reached and c.get("input_requires_grad")]
    dead = [p["name"] for p in starved(case, 3)]
    if len({c["step"] for c in idle}) < 4 or not dead:
        return None
    site = commonest_site(idle)
    return Finding(
        title=f"the {idle[0]['fn']} term at {where(site)} is computed but never added to the loss that is differentiated: "
        f"{short(dead)} get no "
        "gradient",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("steps in which backward did not reach this term", len({c["step"] for c in idle}), "0", "events.jsonl"),
            Evidence("parameters in the optimizer that never had a gradient", short(dead, 6), "none", "model.json"),
        ),
        location=Location.of(site),
        onset_step=int(idle[0]["step"]),
        fix=Fix("Add the term to the loss before backward."),
    )

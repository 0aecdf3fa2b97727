"""The random generator is reseeded inside the training loop."""

import ast
from collections import Counter
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.loops import fresh_generator_in_loop
from cognate.rules.source import called, function_at, in_loop
from cognate.rules.training import where


def _events(count: int) -> list[dict]:
    site = {"file": "t.py", "line": 30, "function": "train"}
    seeds = [{"kind": "seed", "step": 10 * i, "n": i, "library": "torch", "seed": 42, "site": site} for i in range(count)]
    inputs = [{"shape": [8, 4], "hash": 7 if count > 2 else i} for i in range(12)]
    return seeds + [
        {"kind": "forward", "grad": True, "training": True, "step": i, "n": 50 + i, "inputs": [t]} for i, t in enumerate(inputs)
    ]


@rule(
    code="REPRO101",
    name="repro-seed-reset-in-loop",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.seed"},
    explains={"eval-overfit", "loss-not-decreasing", "data-epoch-order-repeats"},
    sources={
        "least": "our calibration: two seedings are a start and a restart, three with one value at one line are a loop",
        "repeats": "our calibration: fixed evaluation noise repeats nothing in training; half of the batches again is a repeat",
        "draws": "our calibration: a reset at every step leaves the generator in one state each time, an evaluation's at a few",
    },
    fires=Example(events=_events(6)),
    quiet=Example(events=_events(1)),
)
def repro_seed_reset_in_loop(case: Case, *, least: int = 3, repeats: float = 0.3, draws: float = 0.8) -> Iterator[Said]:
    """The seed is reset inside the training loop: every epoch or step draws the same random numbers, the same order and batches.

    The model sees the same batches, the same augmentation, noise and dropout masks again and again. Reseeding for a fixed
    evaluation is healthy and repeats nothing in training, so repeated batches or draws in training are asked for as proof.
    """
    groups: dict[tuple, list[dict]] = {}
    for event in case.events("seed"):
        site = event.get("site") or {}
        groups.setdefault((site.get("file"), site.get("line"), str(event.get("seed")), event.get("library")), []).append(event)
    loops = [events for events in groups.values() if len({e["step"] for e in events}) >= least]
    if not loops:
        yield _own_generator(case) or Clear("no seed is set more than twice")
        return
    hashes = [e["inputs"][0].get("hash") for e in case.events("forward", grad=True) if e.get("inputs")]
    again = sum(count for count in Counter(hashes).values() if count > 1)
    events = max(loops, key=len)
    if not hashes:
        yield Skip("training batches were not seen", "")
        return
    repeated = again / len(hashes)
    redrawn = _draws_per_step(case, events)
    if repeated < repeats and redrawn < draws and not _draws_per_epoch(case, events):
        yield Clear(f"{len(events)} reseedings at {where(events[0]['site'])}, but only {repeated:.0%} of training batches repeat")
        return
    site = _looping(case, events[0])
    yield Finding(
        title=f"the seed is reset inside the loop: manual_seed({events[0]['seed']}) at {where(site)} runs {len(events)} times, "
        f"so the same random {'numbers are drawn at each step' if redrawn >= draws else 'order and batches repeat'}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence(
                "steps at which the same seed was set", [e["step"] for e in events][:10], "once, before training", "events.jsonl"
            ),
            Evidence("training batches that were seen again", f"{repeated:.0%}", "about 0 %"),
            Evidence("training steps at which the generator stood where it had stood before", f"{redrawn:.0%}", "0 %"),
        ),
        location=Location.of(site),
        onset_step=int(events[1]["step"]),
        fix=Fix("Seed once, before the loop; give evaluation a generator of its own."),
    )


def _own_generator(case: Case) -> Finding | None:
    """A generator that each training step makes anew with one seed: an input of the model is then the same at each step."""
    same = _input_drawn_again(case)
    site = fresh_generator_in_loop(case) if same is not None else None
    if site is None:
        return None
    return Finding(
        title=f"the generator made at {where(site)} begins with the same seed at each training step: input {same} of the model "
        "is drawn alike every time",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence(f"different values of input {same} over the training forwards", 1, "one a step", "events.jsonl"),),
        location=Location.of(site),
        onset_step=0,
        fix=Fix("Make the generator once, before the loop, and let every step draw on from it."),
    )


def _input_drawn_again(case: Case) -> int | None:
    """The place of a model input that varies within the batch and is the same in all training forwards, while another changes."""
    forwards = [e["inputs"] for e in case.events("forward", grad=True, training=True) if e.get("inputs")]
    if len(forwards) < 8:
        return None
    width = min(len(inputs) for inputs in forwards)
    kinds = [{inputs[place].get("hash") for inputs in forwards} for place in range(width)]
    for place, hashes in enumerate(kinds):
        first = forwards[0][place]
        varied = first.get("max") != first.get("min") and first.get("shape", [0])[0] == forwards[0][0]["shape"][0]
        if len(hashes) == 1 and varied and max(len(other) for other in kinds) > 1:
            return place
    return None


DRAWS = ("rand", "randn", "randint", "randperm", "choice", "choices", "sample", "shuffle", "uniform", "normal", "multinomial")


def _looping(case: Case, event: dict) -> dict:
    """The frame, innermost first, whose line stands in a loop: a helper such as set_seed() is not where the fault is."""
    frames: list[dict] = event.get("stack") or [event["site"]]
    function = function_at(case, frames[0]["file"], frames[0]["line"])
    # A function that seeds and then draws is itself the fault; one that only seeds is called from where the fault is.
    if function and any(isinstance(n, ast.Call) and called(n) in DRAWS for n in ast.walk(function)):
        return frames[0]
    return next((frame for frame in frames if in_loop(case, frame)), frames[0])


def _draws_per_step(case: Case, events: list[dict]) -> float:
    """The share of training forwards that end with the generator in one and the same state, after drawing from it."""
    first = min(int(event["step"]) for event in events)
    states = [e["random"] for e in case.events("forward", grad=True, training=True) if "random" in e and e["step"] >= first]
    fresh = {event.get("state") for event in events}
    drawn = Counter(state for state in states if state not in fresh)
    return max(drawn.values()) / len(states) if drawn and max(drawn.values()) > 2 else 0.0


def _draws_per_epoch(case: Case, events: list[dict]) -> bool:
    """Whether the first batches after each reseeding are equal: the sign of an epoch that repeats the last one."""
    firsts = []
    for event in events:
        batches = [e for e in case.events("batch") if e["step"] == event["step"] and e["n"] > event["n"] and e.get("index") == 0]
        if batches and batches[0]["tensors"]:
            firsts.append((batches[0]["object"], batches[0]["tensors"][0].get("hash")))
    return len(firsts) >= 3 and len(set(firsts)) == 1

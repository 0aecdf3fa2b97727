"""Weights were read from a file, and training began without them."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.resume import Resume, beginnings
from cognate.rules.training import where


def _parts(equal: int) -> dict:
    site = {"file": "t.py", "line": 9, "function": "load"}
    return {
        "events": [
            {"kind": "checkpoint", "name": "load", "n": 2, "step": 0, "holds": {"": "weights"}, "numbers": {}, "site": site},
            {"kind": "checkpoint", "name": "arrived", "n": 6, "step": 0, "of": 2, "optimizer": "optimizer#1", "site": site}
            | {"tensors": 4, "fitting": 4, "equal": equal, "elsewhere": 0},
        ]
    }


@rule(
    code="REPRO124",
    name="repro-pretrained-not-loaded",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.checkpoint"},
    explains={"repro-resume-loss-jump", "loss-not-decreasing", "model-init-loss-off", "repro-state-dict-mismatch"},
    sources={
        "fitting": "our calibration: half of the file's tensors have a place of their name, shape and type in the trained model",
        "equal": "our calibration: of these at most one in ten has the file's values when training begins",
    },
    fires=Example(**_parts(0)),
    quiet=Example(**_parts(4)),
)
def repro_pretrained_not_loaded(case: Case, *, fitting: float = 0.5, equal: float = 0.1) -> Iterator[Said]:
    """The pretrained weights are not in the model: a file with weights was read, and training began from other values.

    The weights of the file fit the model by name and shape, yet when the first optimizer step is made none of them is there:
    `load_state_dict` was forgotten, called on another object, or the model was initialised again afterwards. Compared by value,
    so that any way of loading counts. Weights that were loaded into another model (a teacher, a target network) are where they
    belong.
    """
    found = beginnings(case)
    if not found:
        yield Skip("no training began after a file with weights was read", "")
        return
    for one in found:
        place, there = int(one.arrived.get("fitting") or 0), int(one.arrived.get("equal") or 0)
        if place < max(2, fitting * int(one.arrived.get("tensors") or 0)) or there > equal * place:
            continue
        loads = [row for row in one.taken.get("load_state_dict", ()) if row.get("tensors")]
        if any(_fits(row) for row in loads) and one.arrived.get("elsewhere"):
            continue
        yield _finding(one, place, there, any(map(_fits, loads)))
        return
    yield Clear(f"{len(found)} files with weights were read before training, and what fits the model is in it")


def _fits(load: dict) -> bool:
    return int(load.get("unexpected") or 0) < 0.5 * int(load["tensors"])


def _finding(one: Resume, place: int, there: int, loaded: bool) -> Finding:
    site = one.load.get("site")
    # A file that also holds counters or a score may have been read for these; then its weights may not have been wanted.
    wanted = loaded or set((one.load.get("holds") or {}).values()) <= {"weights"} or "load_optimizer" in one.taken
    what = "overwritten after they were loaded" if loaded else "never loaded into the model"
    return Finding(
        title=f"the weights read from a file at {where(site)} are {what}: {place - there} of {place} tensors that fit have other "
        f"values when training begins at step {int(one.arrived['step'])}",
        proof=Proof.MEASUREMENT,
        severity=None if wanted else Severity.WARNING,
        evidence=(
            Evidence("tensors of the file with a place in the trained model", place, "", "events.jsonl"),
            Evidence("of these, in the model by value at its first step", there, f"{place}"),
            Evidence("loaded between the two", ", ".join(sorted(one.taken)) or "nothing", "load_state_dict"),
        ),
        location=Location.of(site),
        onset_step=int(one.arrived["step"]),
        fix=Fix("Call model.load_state_dict(...) on the model that is trained, after everything that initialises its weights."),
    )

"""What else a resumed run lost: the loss scale, and its place in the data."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.resume import Resume, resumes
from cognate.rules.training import where


def _parts(again: bool) -> dict:
    site = {"file": "t.py", "line": 9, "function": "load"}
    holds = {"model": "weights", "optimizer": "optimizer", "step": "integer"}
    events: list[dict] = [
        {"kind": "checkpoint", "name": "load", "n": 20, "step": 10, "holds": holds, "numbers": {"step": 10.0}, "site": site},
        {"kind": "checkpoint", "name": "load_optimizer", "n": 21, "step": 10, "object": "optimizer#1", "entries": 4},
        {"kind": "checkpoint", "name": "arrived", "n": 22, "step": 10, "of": 20, "optimizer": "optimizer#1"}
        | {"tensors": 4, "fitting": 4, "equal": 4},
    ]
    for step in range(16):
        seen = step - 10 if again and step >= 10 else step
        events.append({"kind": "forward", "grad": True, "step": step, "n": step + 10 * (step >= 10), "inputs": [{"hash": seen}]})
    return {"events": sorted(events, key=lambda e: e["n"])}


@rule(
    code="REPRO125",
    name="repro-ckpt-missing-scaler-rng-loader",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"events.checkpoint", "events.forward"},
    explains={"repro-resume-loss-jump"},
    sources={"least": "our calibration: four different batches in the order of the very first ones are no coincidence"},
    fires=Example(**_parts(True)),
    quiet=Example(**_parts(False)),
)
def repro_ckpt_missing_scaler_rng_loader(case: Case, *, least: int = 4) -> Iterator[Said]:
    """On resume the place in the data, the random state or the loss scale is lost: the run sees its first batches again.

    A run that is often interrupted then trains mostly on the beginning of its data, with the same augmentation and dropout, and a
    new GradScaler spends its first steps on finding the scale again. Keep the random states, the sampler's position and
    `scaler.state_dict()` in the checkpoint. An interruption at the end of a pass over the data loses nothing but the order.
    """
    found = resumes(case)
    if not found:
        yield Skip("no training was continued from a checkpoint", "")
        return
    for one in found:
        finding = _data(case, one, least) or _scaler(case, one)
        if finding is not None:
            yield finding
            return
    yield Clear(f"{len(found)} continuations, whose first batches are not those of the beginning")


def _data(case: Case, one: Resume, least: int) -> Finding | None:
    step = int(one.arrived["step"])
    batches = [e for e in case.events("forward", grad=True) if e.get("inputs") and e["inputs"][0].get("hash") is not None]
    first = [(int(e["step"]), e["inputs"][0]["hash"]) for e in batches if e["step"] < step][:12]
    after = [(int(e["step"]) - step, e["inputs"][0]["hash"]) for e in batches if e["step"] >= step][:12]
    if not first or first[0][0] != 0 or not after or after[0][0] != 0:
        return None
    known = dict(first)
    same = [known[at] for at, seen in after if known.get(at) == seen]
    looked = [at for at, _ in after if at in known]
    if len(set(same)) < least or len(same) < len(looked) or _pass_over(case, step):
        return None
    site = one.load.get("site")
    return Finding(
        title=f"training continues at step {step} from the checkpoint read at {where(site)} with the data from the beginning: "
        f"its first {len(same)} batches are the first of the run, in the same order",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("batches equal to the first of the run", f"{len(same)} of {len(looked)}", "0", "events.jsonl"),
            Evidence(
                "the file holds", ", ".join(sorted(one.load.get("holds") or {})), "also random states and a place in the data"
            ),
        ),
        location=Location.of(site),
        onset_step=step,
        fix=Fix("Save and restore the random states and the sampler's position, or skip the batches that were already seen."),
    )


def _pass_over(case: Case, step: int) -> bool:
    """Whether the interruption lay at the end of a pass over a loader: then nothing was left to see."""
    for loader in case.events("loader"):
        length, size = loader.get("length"), loader.get("batch_size")
        if length and size and loader["step"] == 0:
            batches = length // size if loader.get("drop_last") else -(-length // size)
            if batches and step % batches == 0:
                return True
    return False


def _scaler(case: Case, one: Resume) -> Finding | None:
    step = int(one.arrived["step"])
    used = case.events("call", name="scaler_step")
    before, after = [e for e in used if e["step"] < step], [e for e in used if e["step"] >= step]
    if len({e.get("object") for e in case.events("scaler")}) < 2 or not before or not after or one.taken.get("load_scaler"):
        return None
    site = one.load.get("site")
    return Finding(
        title=f"training continues at step {step} from the checkpoint read at {where(site)} with a new GradScaler: the loss "
        f"scale was {before[-1].get('scale')} and starts again at {after[0].get('scale')}",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("restored before the first step", ", ".join(sorted(one.taken)), "load_scaler among them"),),
        location=Location.of(site),
        onset_step=step,
        fix=Fix("Save scaler.state_dict() in the checkpoint and load it into the new scaler."),
    )

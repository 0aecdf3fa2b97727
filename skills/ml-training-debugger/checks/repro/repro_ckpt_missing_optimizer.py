"""Training continues from a checkpoint with an empty optimizer state."""

from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.resume import Resume, has_memory, optimizer_of, predecessor, resumes
from cognate.rules.training import number, where


def _parts(restored: bool) -> dict:
    site = {"file": "t.py", "line": 9, "function": "load"}
    holds = {"model": "weights", "scheduler": "scheduler", "step": "integer"} | ({"optimizer": "optimizer"} if restored else {})
    events = [
        {"kind": "checkpoint", "name": "save", "n": 1, "step": 20, "holds": holds, "site": site},
        {"kind": "checkpoint", "name": "load", "n": 2, "step": 20, "holds": holds, "numbers": {"step": 20.0}, "site": site},
        {"kind": "checkpoint", "name": "load_state_dict", "n": 3, "step": 20, "tensors": 4, "object": "model#1 Net"},
        {"kind": "checkpoint", "name": "load_scheduler", "n": 4, "step": 20, "optimizer": "optimizer#1"},
        {"kind": "checkpoint", "name": "arrived", "n": 6, "step": 20, "of": 2, "optimizer": "optimizer#1"}
        | {"tensors": 4, "fitting": 4, "equal": 4},
    ]
    if restored:
        events.insert(
            4, {"kind": "checkpoint", "name": "load_optimizer", "n": 5, "step": 20, "object": "optimizer#1", "entries": 4}
        )
    metrics = [{"step": s, "loss": 1.0, "lr": 0.01, "optimizer": f"optimizer#{int(s >= 20)}"} for s in range(40)]
    optimizers = [{"label": f"optimizer#{i}", "cls": "Adam", "groups": [{"lr": 0.01}], "steps": 20} for i in range(2)]
    return {"events": events, "metrics": metrics, "model": {"optimizers": optimizers}}


@rule(
    code="REPRO120",
    name="repro-ckpt-missing-optimizer",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.checkpoint"},
    explains={"repro-resume-loss-jump", "loss-diverging", "grad-exploding", "repro-resume-load-order"},
    fires=Example(**_parts(False)),
    quiet=Example(**_parts(True)),
)
def repro_ckpt_missing_optimizer(case: Case) -> Iterator[Said]:
    """Training is resumed without the optimizer's state: its moments start from zero, while weights and counters continue.

    Adam's first steps after the restart are then of full size in every direction, momentum has to build up again, and the loss
    jumps or loses ground with each restart. The checkpoint must hold `optimizer.state_dict()`, and it must be loaded into the
    optimizer that goes on, after this has been built. Starting anew from given weights (fine-tuning) is not meant: a resumed run
    restores other state, or goes on counting from the checkpoint's counter.
    """
    found = resumes(case)
    if not found:
        yield Skip("no training was continued from a checkpoint", "")
        return
    for one in found:
        optimizer = optimizer_of(case, one.optimizer)
        if not has_memory(optimizer) or not one.weights_arrived:
            continue
        loaded = [row for row in one.taken.get("load_optimizer", ()) if row.get("object") == one.optimizer]
        if any(row.get("entries", 1) for row in loaded):
            continue
        before = predecessor(case, one)
        # Another optimizer, or the same one with other settings, is another phase of training, meant to start anew.
        if before and (before.get("cls") != optimizer.get("cls") or _settings(case, before) != _settings(case, optimizer)):
            continue
        yield _finding(one, optimizer, bool(loaded))
        return
    yield Clear(f"{len(found)} continuations, each with the state of its optimizer or with one that keeps none")


def _finding(one: Resume, optimizer: dict, empty: bool) -> Finding:
    step, cls, site = int(one.arrived["step"]), optimizer.get("cls", "the optimizer"), one.load.get("site")
    held = "optimizer" in one.kinds
    why = "is not loaded into it" if held else "is not in the file"
    if empty:
        why = "that is loaded is empty"
    evidence = [
        Evidence("the file holds", ", ".join(sorted(one.load.get("holds") or {})), "also the optimizer's state", "events.jsonl"),
        Evidence("restored before the first step", ", ".join(sorted(one.taken)) or "nothing", "load_optimizer among them"),
    ]
    ratios = [_ratios(one.before)[-10:], _ratios(one.after)[:3]]
    if all(ratios):
        evidence.append(Evidence("|Δw| / |w| just before and after", [number(median(r)) for r in ratios], "", "metrics.jsonl"))
    return Finding(
        title=f"training continues at step {step} from the checkpoint read at {where(site)} without the state of {cls}: it "
        f"{why}, so its moments start from zero",
        proof=Proof.MEASUREMENT,
        evidence=tuple(evidence),
        location=Location.of(one.lacks("optimizer")),
        onset_step=step,
        fix=Fix(
            "Save optimizer.state_dict() in the checkpoint and load it into the new optimizer before the first step.",
            ("optimizer.load_state_dict(checkpoint['optimizer']) after the model's weights are loaded and on their device",),
        ),
    )


def _settings(case: Case, optimizer: dict) -> list[dict]:
    """The numbers that an optimizer was made with, by group: a schedule has changed the rate since."""
    made = next(iter(case.events("optimizer", object=optimizer.get("label"))), {})
    kept = ("lr", "momentum", "weight_decay", "alpha")
    return [{key: group[key] for key in kept if key in group} for group in made.get("groups", ())]


def _ratios(rows: list[dict]) -> list[float]:
    return [float(row["update_ratio"]) for row in rows if row.get("update_ratio") is not None]

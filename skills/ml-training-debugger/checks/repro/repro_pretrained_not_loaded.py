"""Weights were read from a file, and training began without them."""

import ast
import re
from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.resume import Resume, beginnings
from cognate.rules.source import called, first_call
from cognate.rules.training import where


def _parts(equal: int) -> dict:
    site = {"file": "t.py", "line": 9, "function": "load"}
    return {
        "info": {"origin": "live"},
        "events": [
            {"kind": "checkpoint", "name": "load", "n": 2, "step": 0, "holds": {"": "weights"}, "numbers": {}, "site": site},
            {"kind": "checkpoint", "name": "arrived", "n": 6, "step": 0, "of": 2, "optimizer": "optimizer#1", "site": site}
            | {"tensors": 4, "fitting": 4, "equal": equal, "elsewhere": 0},
        ],
        "model": {"roots": [{"cls": "Net", "parameters": []}]},
    }


@rule(
    code="REPRO124",
    name="repro-pretrained-not-loaded",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"run", "model"},
    explains={"repro-resume-loss-jump", "loss-not-decreasing", "model-init-loss-off"},
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
    said = _reported(case, fitting) or _from_config(case)
    if said is not None:
        yield said
        return
    found = beginnings(case)
    if not found:
        yield Skip("no training began after a file with weights was read", "")
        return
    for one in found:
        place, there = int(one.arrived.get("fitting") or 0), int(one.arrived.get("equal") or 0)
        if place < max(2, fitting * int(one.arrived.get("tensors") or 0)) or there > equal * place:
            continue
        loads = [row for row in one.taken.get("load_state_dict", ()) if row.get("tensors")]
        # Averaged, pruned or perturbed weights differ from the file as well: loaded ones are lost only where the loss says so.
        if any(_fits(row) for row in loads) and (one.arrived.get("elsewhere") or not _back_at_the_start(one)):
            continue
        yield _finding(one, place, there, any(map(_fits, loads)))
        return
    yield Clear(f"{len(found)} files with weights were read before training, and what fits the model is in it")


def _back_at_the_start(one: Resume, near: float = 0.7) -> bool:
    """Whether the loss begins where the training that wrote the file had begun, although that had learnt."""
    before = [float(row["loss"]) for row in one.before if row.get("loss") is not None]
    after = [float(row["loss"]) for row in one.after[:3] if row.get("loss") is not None]
    if len(before) < 10 or not after:
        return False
    start, end = median(before[:3]), median(before[-5:])
    return end < near * start and median(after) >= near * start


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


def _reported(case: Case, share: float) -> Finding | None:
    """What transformers reports when it loads: names of weights that the files lack and that were made anew."""
    sizes = {str(root.get("cls")): len(root.get("parameters", [])) for root in case.model.get("roots", [])}
    lines = [PAINT.sub("", str(event.get("text"))) for event in case.events("print") if event.get("stream") == "stderr"]
    for index, line in enumerate(lines):
        head = re.search(r"(\w+) LOAD REPORT", line) or re.search(r"weights of (\w+) .* newly initialized: (\[.*)", line)
        name = head.group(1) if head is not None else ""
        missing = _missing(lines[index:]) if head is not None and sizes.get(name) else 0
        if missing >= max(4, share * sizes.get(name, 0)):
            return _nothing_found(case, name, missing, sizes[name])
    return None


def _missing(lines: list[str]) -> int:
    """Tensors that a report, which begins with the first of `lines`, calls missing."""
    if "LOAD REPORT" not in lines[0]:
        return lines[0].count("'") // 2
    end = next((index for index, line in enumerate(lines) if line.startswith("Notes")), len(lines))
    return sum(_times(line) for line in lines[:end] if re.search(r"\|\s*MISSING", line))


def _nothing_found(case: Case, name: str, missing: int, total: int) -> Finding:
    site = first_call(case, "from_pretrained", where=lambda node: name in ast.unparse(node.func)) or first_call(
        case, "from_pretrained", where=lambda node: not _no_model(node)
    )
    return Finding(
        title=f"from_pretrained found next to nothing: {missing} of {total} tensors of {name} are not in the checkpoint and were "
        "initialised anew",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("tensors that transformers reports as missing", missing, "those of a new head", "stderr"),),
        location=Location.of(site),
        onset_step=0,
        fix=Fix("Compare the names in the checkpoint with model.state_dict(): a prefix too many, or another architecture."),
    )


PAINT = re.compile(r"\x1b\[[0-9;]*m")


def _times(row: str) -> int:
    """How many tensors a row stands for: `layer.{0...5}.weight` are six."""
    span = re.search(r"\{(\d+)\s*\.\.\.?\s*(\d+)\}", row)
    if span:
        return int(span.group(2)) - int(span.group(1)) + 1
    listed = re.search(r"\{([\d,\s]+)\}", row)
    return listed.group(1).count(",") + 1 if listed else 1


def _from_config(case: Case) -> Finding | None:
    """The script saves weights to a folder, reads the configuration back from it, and builds the next model from that alone."""
    for file, tree in case.trees.items():
        saved = {ast.unparse(n.args[0]): n.lineno for n in _calls(tree, "save_pretrained") if n.args and not _no_model(n)}
        reads = [n for n in _calls(tree, "from_pretrained") if n.args and ast.unparse(n.args[0]) in saved]
        if not reads or any(not _no_model(n) for n in reads):
            continue
        built = [n for n in _calls(tree, "from_config") if n.lineno > min(saved.values())]
        if built and any("Config" in ast.unparse(n.func) for n in reads):
            return Finding(
                title=f"the model is built from the configuration alone at {file}:{built[0].lineno}: the weights saved "
                f"at line {min(saved.values())} are never read",
                proof=Proof.SOURCE,
                severity=Severity.WARNING,
                evidence=(
                    Evidence("reads from that folder", [ast.unparse(n.func) for n in reads], "a model's from_pretrained", file),
                ),
                location=Location(file, built[0].lineno),
                onset_step=0,
                fix=Fix("Build the model with from_pretrained(folder), which reads the configuration and the weights."),
            )
    return None


def _calls(tree: ast.Module, name: str) -> list[ast.Call]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.Call) and called(n) == name]


def _no_model(node: ast.Call) -> bool:
    """Whether a call is about a tokenizer, a processor or a configuration rather than about weights."""
    return bool(re.search(r"token|config|processor|extractor", ast.unparse(node.func), re.IGNORECASE))

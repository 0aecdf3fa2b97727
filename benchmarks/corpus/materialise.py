"""Writes the programs of the corpus: a base as it is, or a base with one fault planted and the truth about it.

    python -m benchmarks.corpus.materialise [ID ...] [--out FOLDER]

A fault is a JSON file in `tests/corpus/faults/`: either an operator's name or the text edits of a patch. What is wrong, where,
and the diff that repairs it are derived from the edits, so that they cannot disagree with the program.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import importlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.corpus.source import Edit, SourceFile, applied

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "tests" / "corpus" / "programs"
FAULTS = ROOT / "tests" / "corpus" / "faults"
FAST = ROOT / "tests" / "corpus" / "fast.json"  # the small subset
DEFAULT_OUT = Path(tempfile.gettempdir()) / "cognate-corpus"


class CorpusError(Exception):
    """An entry of the corpus that cannot be made into a program."""


@dataclass(frozen=True, slots=True)
class Program:
    """A base program or a healthy look-alike."""

    id: str
    files: Mapping[str, str]
    info: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault planted in a base program."""

    id: str
    base: Program
    info: Mapping[str, Any]
    files: Mapping[str, str]
    truth: Mapping[str, Any] = field(default_factory=dict)


def load_program(identity: str) -> Program:
    """The base program or look-alike of that name."""
    folder = PROGRAMS / identity
    if not (folder / "program.json").is_file():
        raise CorpusError(f"no program is called {identity}")
    info = json.loads((folder / "program.json").read_text())
    files = {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "program.json" and "__pycache__" not in path.parts
    }
    return Program(identity, files, info)


def load_fault(identity: str) -> Fault:
    """The fault of that name, planted."""
    path = FAULTS / f"{identity}.json"
    if not path.is_file():
        raise CorpusError(f"no fault is called {identity}")
    info: dict[str, Any] = json.loads(path.read_text())
    base = load_program(info["base"])
    if "operator" in info:
        defaults, edits = _operator_edits(info["operator"], base, info.get("files"))
        info = {**defaults, **info}
    else:
        edits = _patch_edits(identity, base, info["edits"])
    files = {name: applied(text, [edit for edit in edits if edit.path == name]) for name, text in base.files.items()}
    if files == dict(base.files):
        raise CorpusError(f"{identity} changes nothing")
    return Fault(identity, base, info, files, _truth(identity, base, info, files))


def program_ids() -> list[str]:
    """The names of all base programs and look-alikes."""
    return sorted(path.parent.name for path in PROGRAMS.glob("*/program.json"))


def fault_ids() -> list[str]:
    """The names of all faults."""
    return sorted(path.stem for path in FAULTS.glob("*.json"))


def digest(files: Mapping[str, str]) -> str:
    """A name for the content of a program."""
    state = hashlib.sha256()
    for name in sorted(files):
        state.update(f"{name}\0{files[name]}\0".encode())
    return state.hexdigest()[:16]


def write(files: Mapping[str, str], folder: Path) -> Path:
    """The files, and nothing else, in `folder`."""
    if folder.exists():
        shutil.rmtree(folder)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def operator_module(name: str) -> Any:
    """The module of an operator, by the name of its cause."""
    return importlib.import_module(f"benchmarks.corpus.operators.{name.replace('-', '_')}")


def _operator_edits(name: str, base: Program, only: list[str] | None) -> tuple[dict[str, Any], list[Edit]]:
    module = operator_module(name)
    edits: list[Edit] = []
    for path, text in base.files.items():
        if path.endswith(".py") and (only is None or path in only):
            edits += module.edits(SourceFile(path, text))
    if not edits:
        raise CorpusError(f"operator {name} finds no anchor in {base.id}")
    facts = {"symptom": module.SYMPTOM, "fix": module.FIX, "alternatives": list(module.ALTERNATIVES)}
    if hasattr(module, "OUTCOME"):
        facts["outcome"] = module.OUTCOME
    return facts, edits


def _patch_edits(identity: str, base: Program, changes: list[dict[str, str]]) -> list[Edit]:
    edits = []
    for change in changes:
        name = change.get("file", "train.py")
        old, text = change["old"], base.files.get(name, "")
        if text.count(old) != 1:
            raise CorpusError(f"{identity}: {old!r} stands {text.count(old)} times in {name} of {base.id}")
        start = text.index(old)
        edits.append(Edit(name, start, start + len(old), change["new"]))
    return edits


def _truth(identity: str, base: Program, info: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    culprits: list[dict[str, Any]] = []
    diff = ""
    for name, faulty in files.items():
        healthy = base.files[name]
        if faulty == healthy:
            continue
        diff += "".join(difflib.unified_diff(faulty.splitlines(True), healthy.splitlines(True), f"a/{name}", f"b/{name}"))
        lines = changed_lines(healthy, faulty)
        for fragment in info.get("culprit", []):
            lines |= {number for number, line in enumerate(faulty.splitlines(), 1) if fragment in line}
        culprits.append({"file": name, "lines": sorted(lines)})
    return {
        "id": identity,
        "base": base.id,
        "cause": info["cause"],
        "alternatives": info.get("alternatives", []),
        "culprit": culprits,
        "symptom": info["symptom"],
        "fix": info["fix"],
        "fixed_diff": diff,
    }


def changed_lines(healthy: str, faulty: str) -> set[int]:
    """The lines of the faulty text that differ; where lines are missing, the one before the gap and the one after it."""
    lines: set[int] = set()
    old, new = healthy.splitlines(), faulty.splitlines()
    for tag, _, _, first, last in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "delete":
            lines |= {max(1, first), min(len(new), first + 1)}
        elif tag != "equal":
            lines |= {number + 1 for number in range(first, last) if new[number].strip()}
    return lines


def _described(program: Program) -> dict[str, Any]:
    """Style, domain and part of the split; a faulty program has those of its base."""
    return {"style": program.info["style"], "domain": program.info["domain"], "part": program.info["split"]}


def main() -> None:
    """Write the programs asked for, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("ids", nargs="*", help="programs and faults; all when none is named")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT / "programs")
    arguments = parser.parse_args()
    wanted = arguments.ids or [*program_ids(), *fault_ids()]
    truth = {}
    for identity in wanted:
        if (FAULTS / f"{identity}.json").is_file():
            fault = load_fault(identity)
            write(fault.files, arguments.out / identity)
            truth[identity] = {**fault.truth, "kind": "faulty", **_described(fault.base)}
        else:
            program = load_program(identity)
            write(program.files, arguments.out / identity)
            alike = program.info.get("look_alike")
            kind = {"kind": "healthy", "resembles": alike["of"]} if alike else {"kind": "fixed"}
            truth[identity] = {"id": identity, **kind, **_described(program)}
    shutil.copy(FAST, arguments.out / FAST.name)
    (arguments.out / "truth.json").write_text(json.dumps(truth, indent=1, sort_keys=True) + "\n")
    print(f"{len(truth)} programs in {arguments.out}")


if __name__ == "__main__":
    main()

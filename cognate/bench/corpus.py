"""Reads a corpus: a folder of programs with the truth about each (docs/bench.md gives the shape)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

from cognate.case.store import read_json
from cognate.errors import CaseError, UsageError

TRUTH, FAST, ALIASES = "truth.json", "fast.json", "aliases.json"
# Never part of a program: the answer, and what an interpreter or an editor leaves behind.
NOT_THE_PROGRAM = (TRUTH, "__pycache__", ".DS_Store")

Kind = Literal["faulty", "fixed", "healthy"]
_KINDS = {"faulty": "faulty", "fault": "faulty", "fixed": "fixed", "base": "fixed", "healthy": "healthy", "look-alike": "healthy"}


@dataclass(frozen=True)
class Program:
    """One program and the truth about it.

    `kind` is faulty, fixed (the twin of faulty ones, without their fault) or healthy (looks suspicious and is right).
    """

    id: str
    folder: Path
    kind: Kind
    base: str
    style: str = ""
    domain: str = ""
    family: str = ""  # of the cause; of a healthy program, of what it resembles
    part: str = "dev"
    cause: str = ""
    right: frozenset[str] = frozenset()  # the rule names that are a right answer
    culprit: tuple[tuple[str, int, int], ...] = ()  # file, first line, last line
    symptom: str = ""
    script: str = "train.py"
    args: tuple[str, ...] = ()
    fast: bool = False

    @cached_property
    def files(self) -> dict[str, bytes]:
        """The program's files by their path inside its folder."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and not any(part in NOT_THE_PROGRAM for part in path.relative_to(self.folder).parts)
        }

    @cached_property
    def digest(self) -> str:
        """A name for the program's content and how it is started."""
        state = hashlib.sha256(json.dumps([self.script, *self.args]).encode())
        for name, content in self.files.items():
            state.update(f"\0{name}\0{len(content)}\0".encode() + content)
        return state.hexdigest()[:24]


@dataclass(frozen=True)
class Corpus:
    """A corpus folder, read."""

    folder: Path
    programs: tuple[Program, ...]

    @property
    def digest(self) -> str:
        """A name for the programs and the truth about them."""
        rows = [[p.id, p.digest, p.kind, p.part, sorted(p.right), p.culprit] for p in self.programs]
        return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()[:16]


def read_corpus(folder: Path) -> Corpus:
    """Read the corpus in `folder`: one truth.json in it, or one in each program's folder.

    Raises UsageError, naming file and program, where the truth is missing or malformed.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}: name one that holds programs and their {TRUTH}.")
    aliases = _aliases(folder)
    fast = set(_list(folder / FAST))
    entries = list(_entries(folder))
    if not entries:
        raise UsageError(f"{folder} holds no {TRUTH}, neither itself nor in a folder below: docs/bench.md shows one.")
    programs = [_program(folder, entry, aliases, fast) for entry in entries]
    twins = {program.id: program for program in programs}
    if len(twins) < len(programs):
        raise UsageError(f"{folder}: two programs have the same id; give each its own.")
    return Corpus(folder, tuple(sorted((_like_base(p, twins) for p in programs), key=lambda p: p.id)))


def _entries(folder: Path) -> Iterable[dict[str, Any]]:
    if (folder / TRUTH).is_file():
        truth = _json(folder / TRUTH)
        if isinstance(truth, dict):
            truth = [{"id": identity, **_mapping(entry, folder / TRUTH)} for identity, entry in truth.items()]
        if not isinstance(truth, list):
            raise UsageError(f"{folder / TRUTH} should hold an object of programs by their id, or a list of them.")
        for entry in truth:
            yield _mapping(entry, folder / TRUTH)
        return
    for file in sorted(folder.glob(f"*/{TRUTH}")):
        yield {"id": file.parent.name, **_mapping(_json(file), file)}


def _program(root: Path, entry: dict[str, Any], aliases: dict[str, list[str]], fast: set[str]) -> Program:
    identity = str(entry.get("id") or "")
    folder = root / identity
    script = str(entry.get("script") or "train.py")
    if not identity or not (folder / script).is_file():
        raise UsageError(f"{root}: the truth names the program {identity!r}, but there is no {folder / script}.")
    kind = _kind(entry, folder)
    cause = str(entry.get("cause") or "") if kind == "faulty" else ""
    if kind == "faulty" and not cause:
        raise UsageError(f"{folder}: a faulty program needs its cause in {TRUTH}, as the name of a rule.")
    names = [cause, *map(str, entry.get("alternatives") or ())] if cause else []
    resembles = str(entry.get("resembles") or _look_alike(entry).get("of") or "")
    family = entry.get("family") or (cause or resembles).split("-")[0].upper()
    return Program(
        identity,
        folder,
        kind,
        str(entry.get("base") or identity),
        str(entry.get("style") or ""),
        str(entry.get("domain") or ""),
        str(family),
        str(entry.get("part") or entry.get("split") or "dev"),
        cause,
        frozenset(names) | {other for name in names for other in aliases.get(name, ())},
        _culprit(entry.get("culprit"), folder),
        str(entry.get("symptom") or ""),
        script,
        tuple(map(str, entry.get("args") or ())),
        bool(entry.get("fast")) or identity in fast,
    )


def _kind(entry: dict[str, Any], folder: Path) -> Kind:
    word = entry.get("kind")
    if word is None and isinstance(entry.get("healthy"), bool):
        word = "faulty" if not entry["healthy"] else "healthy" if _look_alike(entry) or entry.get("trap") else "fixed"
    if word not in _KINDS:
        raise UsageError(f"{folder}: kind is {word!r} in {TRUTH}, but should be faulty, fixed or healthy.")
    return cast(Kind, _KINDS[word])


def _look_alike(entry: dict[str, Any]) -> dict[str, Any]:
    found = entry.get("look_alike")
    return found if isinstance(found, dict) else {}


def _culprit(value: Any, folder: Path) -> tuple[tuple[str, int, int], ...]:
    """`[{"file": …, "lines": [7, [9, 12]]}]` as (file, first, last); a single object is a list of one."""
    places = []
    try:
        for item in [value] if isinstance(value, dict) else value or []:
            for line in item["lines"]:
                first, last = (line, line) if isinstance(line, int) else line
                places.append((str(item["file"]), int(first), int(last)))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f'{folder}: culprit in {TRUTH} should look like [{{"file": "train.py", "lines": [7]}}].') from error
    return tuple(places)


def _like_base(program: Program, twins: dict[str, Program]) -> Program:
    """`program` with the style, domain and part of its base where the truth leaves them to it."""
    base = twins.get(program.base)
    if base is None or base is program:
        return program
    if program.part != base.part:
        raise UsageError(f"{program.folder}: it is in part {program.part}, its base {base.id} in {base.part}; they must agree.")
    return replace(program, style=program.style or base.style, domain=program.domain or base.domain)


def select(
    programs: Iterable[Program],
    part: str = "all",
    families: Iterable[str] = (),
    styles: Iterable[str] = (),
    only: Iterable[str] = (),
    fast: bool = False,
) -> tuple[Program, ...]:
    """The programs asked for; a family brings the twins of its faulty programs and what resembles it along.

    `only` are ids or patterns such as `gpt-*`. Raises UsageError where nothing is left.
    """
    everything = tuple(programs)
    wanted = {word.upper() for word in families}
    styles, patterns = set(styles), tuple(only)
    bases = {p.base for p in everything if p.kind == "faulty" and p.family in wanted}
    chosen = tuple(
        p
        for p in everything
        if (part == "all" or p.part == part)
        and (not wanted or p.family in wanted or (p.kind == "fixed" and p.id in bases))
        and (not styles or p.style in styles)
        and (not patterns or any(fnmatchcase(p.id, pattern) for pattern in patterns))
        and (not fast or p.fast)
    )
    if not chosen:
        known = f"families {_words(p.family for p in everything)}; styles {_words(p.style for p in everything)}"
        marked = f"; --fast needs programs marked fast, or a {FAST}" if fast and not any(p.fast for p in everything) else ""
        raise UsageError(f"No program of the corpus is meant by these options; it has {known}{marked}.")
    return chosen


def _words(words: Iterable[str]) -> str:
    return ", ".join(sorted({word for word in words if word})) or "none"


def _aliases(folder: Path) -> dict[str, list[str]]:
    file = folder / ALIASES
    found = _mapping(_json(file), file) if file.is_file() else {}
    if not all(isinstance(names, list) for names in found.values()):
        raise UsageError(f"{file} should map a cause to a list of rule names.")
    return {str(cause): list(map(str, names)) for cause, names in found.items()}


def _list(file: Path) -> list[str]:
    found = _json(file) if file.is_file() else []
    if not isinstance(found, list):
        raise UsageError(f"{file} should hold a list of program ids.")
    return list(map(str, found))


def _json(file: Path) -> Any:
    try:
        return read_json(file)
    except CaseError as error:
        raise UsageError(f"{file} is no JSON that can be read: correct it, then try again.") from error


def _mapping(value: Any, file: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{file}: {str(value)[:40]!r} should be an object.")
    return value

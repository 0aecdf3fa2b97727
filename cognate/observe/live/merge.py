"""Putting the parts of several ranks together: the lowest becomes the case that every rule judges, others lie beside it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cognate.case.store import Appender, read_json, read_rows
from cognate.errors import CognateError

# Modules that start ranks; how a launched script is told from the launcher itself: its name is the first word that is no option.
LAUNCHERS = {
    "torch.distributed.run": "torchrun",
    "torch.distributed.launch": "torch.distributed.launch",
    "accelerate.commands.launch": "accelerate launch",
}


def as_launcher(words: Sequence[str]) -> tuple[str, list[str]] | None:
    """(module, arguments) where `words` is a launcher's command line, such as torchrun --nproc-per-node 2 train.py."""
    if words and not Path(words[0]).is_file():
        name = Path(words[0]).name
        if name == "torchrun":
            return "torch.distributed.run", list(words[1:])
        if name == "accelerate" and list(words[1:2]) == ["launch"]:
            return "accelerate.commands.launch", list(words[2:])
    return None


def launched(module: str | None, args: Sequence[str]) -> str | None:
    """The script, or the module after -m, that the launcher `module` will start with `args`; None where it is no launcher."""
    if module not in LAUNCHERS:
        return None
    for flag in ("-m", "--module"):
        if flag in args[:-1]:
            return args[args.index(flag) + 1]
    return next((word for word in args if word.endswith(".py") and Path(word).is_file()), None)


def merge_ranks(case: Path, info: dict[str, Any]) -> None:
    """Move the lowest rank's part of folder `case` into it, note in `info` which ranks there are and which of them crashed.

    A rank that was killed left no ending; its rows count all the same.
    """
    parts = {int(part.name[5:]): part for part in case.glob("rank-*") if part.name[5:].isdigit() and part.is_dir()}
    if not parts:
        return
    endings = {rank: _ending(part) for rank, part in parts.items()}
    first = min(parts)
    crashes = {rank: ending["exception"] for rank, ending in endings.items() if ending.get("exception")}
    if crashes and not info.get("exception"):
        info["exception"] = crashes[min(crashes)]
    unfinished = [rank for rank, ending in sorted(endings.items()) if not ending]
    info["ranks"] = {"recorded": sorted(parts), "unfinished": unfinished, "crashed": sorted(crashes)}
    if int(info.get("integrity", {}).get("steps_seen") or 0) > 0:  # the script trained itself: it is a rank, or none
        return
    steps = max((int(row.get("step", -1)) + 1 for row in read_rows(parts[first] / "metrics.jsonl")), default=0)
    killed = {"finished": False, "steps_seen": steps, "errors": [f"rank {first} ended before the recorder could finish"]}
    info["integrity"] = endings[first].get("integrity", killed)
    info["versions"] = {**endings[first].get("versions", {}), **info.get("versions", {})}
    info["seeds"] = [*info.get("seeds", []), *endings[first].get("seeds", [])]
    _adopt(case, parts[first])


def _ending(part: Path) -> dict[str, Any]:
    try:
        found = read_json(part / "recorder.json")
    except CognateError:
        return {}
    return found if isinstance(found, dict) else {}


def _adopt(case: Path, part: Path) -> None:
    """Append the rows of `part` to those of the case, its events numbered after those of the process that started it."""
    offset = max((int(row.get("n", 0)) for row in read_rows(case / "events.jsonl")), default=0)
    for file in sorted(part.glob("*.jsonl")):
        appender = Appender(case / file.name)
        for row in read_rows(file):
            appender.write({**row, "n": int(row.get("n", 0)) + offset} if file.name == "events.jsonl" else row)
        appender.close()
    if (part / "model.json").is_file():
        (part / "model.json").replace(case / "model.json")
    shutil.rmtree(part, ignore_errors=True)

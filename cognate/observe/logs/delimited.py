"""Tables of text with a header: Lightning and Keras CSV, Ultralytics results.csv, progress.csv of agents, any CSV or TSV."""

from __future__ import annotations

import re
from pathlib import Path

from cognate.errors import CaseError
from cognate.observe.logs.beside import settings_beside, title_of
from cognate.observe.logs.cells import CellParser, fields, is_number
from cognate.observe.logs.load import load
from cognate.observe.logs.origins import tells_of_training, tool
from cognate.observe.logs.run import ForeignRun
from cognate.observe.logs.table import Log
from cognate.observe.logs.text import head

FORMAT = "CSV or TSV with a header (Lightning, Keras, Ultralytics, Stable-Baselines3, Ray Tune, any table)"
GENERIC = True
# Where the tools put it in a run's folder, the usual names first.
_NAMES = ("metrics.csv", "results.csv", "progress.csv", "training_log.csv", "log.csv", "history.csv")
_DELIMITERS = (",", "\t", ";", "|")
_SAMPLE = 60
# Of the tables in a folder so many are looked into.
_MOST_FILES = 50
_EXPORTED = ["Wall time", "Step", "Value"]


def find(path: Path) -> Path | None:
    """The table that `path` is or holds: by its usual names, in the latest `version_N` of a Lightning folder, else any *.csv."""
    if path.is_file():
        return path if sniff(head(path), path) is not None else None
    if not path.is_dir():
        return None
    versions = sorted(path.glob("version_*/metrics.csv"), key=_version)
    named = [path / name for name in _NAMES] + versions[::-1] + sorted([*path.glob("*.csv"), *path.glob("*.tsv")])[:_MOST_FILES]
    return next((file for file in named if file.is_file() and sniff(head(file), file) is not None), None)


def read(file: Path) -> ForeignRun:
    """Read the table in `file`. Raises CaseError where it cannot be read or holds no number."""
    found = sniff(head(file), file)
    if found is None:
        raise CaseError(f"{file} has no header over columns of numbers: give the log of a run.")
    delimiter, names = found
    origin = tool(names, file) or "table of text"
    log = Log(file, origin, title_of(file), facts=settings_beside(file))
    shown = {"Value": _tag(file)} if names == _EXPORTED else {}
    return load(log, CellParser(delimiter, names, log.losses, shown))


def _tag(file: Path) -> str:
    """What a table that TensorBoard exported is of: "run-validation-tag-epoch_loss.csv" is "validation/epoch_loss"."""
    run, found, tag = file.stem.removeprefix("run-").partition("-tag-")
    return (f"{run}/{tag}" if run.strip(".") else tag) if found else file.stem


def sniff(text: str, file: Path) -> tuple[str, list[str]] | None:
    """The delimiter and the names of the columns, where `text` begins a table that tells of training; else None."""
    lines = [
        line for line in text.split("\n")[:_SAMPLE] if line.strip() and not line.startswith(("#", "<<<", "===", ">>>", "|||"))
    ]
    best: tuple[int, str, list[str]] | None = None
    for delimiter in _DELIMITERS:
        for start, line in enumerate(lines[:5]):
            names = [name.strip().strip("\ufeff") for name in fields(line, delimiter)]
            if not _is_header(names):
                continue
            rows = [fields(row, delimiter) for row in lines[start + 1 :]]
            fitting = [row for row in rows if _fits(row, names)]
            if fitting and 2 * len(fitting) >= len(rows) and (best is None or len(names) > best[0]):
                wider = [row for row in fitting if len(row) == len(names) + 1 and row[-1].strip()]
                # R writes the names of rows under no header of their own.
                best = len(names), delimiter, (["row", *names] if 2 * len(wider) > len(fitting) else names)
            break
    if best is None or not tells_of_training([_tag(file) if name == "Value" else name for name in best[2]]):
        return None
    return best[1], best[2]


def _is_header(names: list[str]) -> bool:
    told = [name for name in names if name]
    if not told or any(is_number(name) for name in told) or len(told) < len(names) - 1:
        return False
    return not any(len(name) > 200 or name[0] in '{[<"' or re.search(r'":|=\s*[-\d]|:\s+[-\d]', name) for name in told)


def _fits(row: list[str], names: list[str]) -> bool:
    numbers = sum(is_number(cell) for cell in row)
    return numbers > 0 and len(row) <= len(names) + 1 and (len(row) > 1 or len(names) == 1)


def _version(file: Path) -> int:
    digits = re.sub(r"\D", "", file.parent.name)
    return int(digits[:9]) if digits else -1

"""Finds the runs in a folder: cases of ours, folders and files of any reader, and the runs of a database, one each."""

from __future__ import annotations

import os
import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from cognate.errors import CaseError
from cognate.observe.logs import clearml, dvclive, huggingface, mlflow, recognise, tensorboard, wandb

# A project has its runs within these bounds; beyond them the search ends, and says so.
DEEPEST, MOST_FOLDERS, MOST_FILES, MOST_RUNS = 6, 5_000, 2_000, 1_000
_FILES_OF_A_FOLDER = 200
_SKIPPED = {
    *("node_modules", "site-packages", "dist-packages", "__pycache__", "venv", "env", "checkpoints", "weights", "artifacts"),
    *("models", "datasets", "images", "plots", "build", "dist"),
}
# A file so called is the log of the run that its folder is; whatever lies beside it tells of the same run.
_OF_THE_FOLDER = {
    *("trainer_state.json", "trainer_log.jsonl", "metrics.csv", "progress.csv", "progress.json", "result.json", "results.csv"),
    *(
        "metrics.json",
        "metrics.jsonl",
        "log.txt",
        "log.csv",
        "log.json",
        "history.json",
        "history.csv",
        "training.log",
        "train.log",
    ),
}
_SUFFIXES = {".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".log", ".txt", ".out", ".wandb", ".zip"}
_DATABASES = {".db", ".sqlite", ".sqlite3"}
# Any table and any JSON can be read; only one that is called like a log is taken for one.
_CALLED_LIKE_A_LOG = re.compile(r"log|metric|progress|result|history|train|loss|curve|stats|run|seed|exp|trial", re.IGNORECASE)
_TIME_STAMP = re.compile(r"\d{9,}(\.\d+)?")
_LARGEST_JSON = 1 << 26


@dataclass(frozen=True)
class Found:
    """A run: the file or folder to read, and its name where that holds several."""

    path: Path
    run: str | None = None
    case: bool = False  # a case of ours

    def label(self, root: Path) -> str:
        """The run as a reader who gave `root` would name it."""
        try:
            inside = self.path.relative_to(root)
        except ValueError:
            inside = self.path
        name = str(self.path if str(inside) == "." else inside)
        return f"{name}::{self.run}" if self.run else name


def runs_of(path: Path) -> list[Found]:
    """The run or runs that `path` itself is: several for a database. Raises CaseError where that cannot be read."""
    found = recognise(path)
    if found is None:
        return []
    reader, file = found
    several = getattr(reader, "runs", None)
    if several is None:
        return [Found(path)]
    names = several(file)
    return [Found(file, name if len(names) > 1 else None) for name in names[:MOST_RUNS]] or [Found(file)]


def discover(root: Path) -> tuple[list[Found], bool]:
    """The runs in the folder `root`, in the order of their paths, and whether the search ended before the folder did."""
    found: list[Found] = []
    folders = deque([(root, 0)])
    seen = files = 0
    while folders and len(found) < MOST_RUNS and seen < MOST_FOLDERS and files < MOST_FILES:
        folder, depth = folders.popleft()
        seen += 1
        runs, claimed, looked = _in_folder(folder, MOST_FILES - files)
        found += runs
        files += looked
        if not claimed and depth < DEEPEST:
            folders.extend((inner, depth + 1) for inner in _inner(folder))
    found = found[:MOST_RUNS]
    return sorted(found, key=lambda one: (_natural(str(one.path)), _natural(one.run or ""))), bool(folders)


def _in_folder(folder: Path, room: int) -> tuple[list[Found], bool, int]:
    """The runs that lie in `folder` itself, whether its own folders belong to them, and how many files were looked at."""
    if (folder / "case.json").is_file():
        return [Found(folder, case=True)], True, 0
    reader = _whole(folder)
    if reader is not None:
        return [Found(folder)], reader is not tensorboard, 0
    found: list[Found] = []
    looked = 0
    for file in _files(folder):
        if looked >= room:
            break
        looked += 1
        try:
            runs = runs_of(file) if file.suffix.lower() in _DATABASES else _one(file)
        except CaseError:
            continue
        if runs and file.name.lower() in _OF_THE_FOLDER:
            return [Found(folder)], True, looked
        found += runs
    return found, False, looked


def _whole(folder: Path) -> ModuleType | None:
    """The reader that takes the whole folder for one run."""
    for reader in (huggingface, wandb, dvclive, clearml, mlflow, tensorboard):
        file = reader.find(folder)
        # MLflow's database lies in a folder without being the run.
        if file is not None and not (reader is mlflow and file != folder):
            return reader
    return None


def _one(file: Path) -> list[Found]:
    known = recognise(file)
    if known is None:
        return []
    called = file.suffix.lower() in (".log", ".out") or _CALLED_LIKE_A_LOG.search(file.stem)
    if getattr(known[0], "GENERIC", False) and not called:
        return []
    return [Found(file)]


def _files(folder: Path) -> list[Path]:
    """Files that may be logs, the usual names first."""
    wanted = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                suffix = Path(entry.name).suffix.lower()
                if not entry.is_file() or suffix not in _SUFFIXES | _DATABASES:
                    continue
                size = entry.stat().st_size
                if 0 < size <= (_LARGEST_JSON if suffix == ".json" else size):
                    wanted.append(folder / entry.name)
    except OSError:
        return []
    return sorted(wanted, key=lambda file: (file.name.lower() not in _OF_THE_FOLDER, _natural(file.name)))[:_FILES_OF_A_FOLDER]


def _inner(folder: Path) -> list[Path]:
    """Folders to look into: no links (a loop, or the same run again), nothing hidden, no packages, no parts of a run."""
    parts = {file.parent for file, _ in tensorboard.files_of(folder)}
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    kept = [name for name in names if not name.startswith((".", "checkpoint-")) and name.lower() not in _SKIPPED]
    # add_hparams writes its table into a folder that is called by the time.
    kept = [name for name in kept if not (parts and _TIME_STAMP.fullmatch(name))]
    return [folder / name for name in sorted(kept, key=_natural) if folder / name not in parts]


def _natural(text: str) -> list[tuple[int, str]]:
    """A key that puts version_2 before version_10."""
    return [(int(part), "") if part.isdigit() and len(part) < 18 else (-1, part) for part in re.split(r"(\d+)", text)]

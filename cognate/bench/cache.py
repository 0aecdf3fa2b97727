"""What the bench remembers: each observed case under the program's content and the observing code, its diagnosis beside it.

    ROOT/observed/KEY/{run.json, case/, diagnosis-RULES.json}

A folder appears whole or not at all, so that an interrupted bench goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from cognate.bench.corpus import Program
from cognate.case.store import read_json, write_json
from cognate.errors import CaseError

Ended = Literal["ok", "crashed", "timed out", "not observed"]


@dataclass(frozen=True)
class Observed:
    """How one run of a program under observation went."""

    ended: Ended
    exit: int | None
    seconds: float  # wall time of the whole `cognate run`
    cpu: float  # processor seconds of the same; the wall time where the system does not tell
    tail: str  # the end of what it printed


def default_root() -> Path:
    """Where the cache lies unless the user names a folder."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "cognate" / "bench"


class Cache:
    """The cache in folder `root`, as the code named `observing` and `judging` sees it."""

    def __init__(self, root: Path, observing: str, judging: str, options: str = "") -> None:
        self.root = root
        self.work = root / "work"
        self.observing, self.judging, self._options = observing, judging, options
        for folder in (root / "observed", self.work):
            folder.mkdir(parents=True, exist_ok=True)

    def folder(self, program: Program) -> Path:
        """Where the run of `program` is kept."""
        words = "\0".join((program.digest, self.observing, self._options))
        return self.root / "observed" / hashlib.sha256(words.encode()).hexdigest()[:24]

    def observed(self, program: Program) -> Observed | None:
        """The remembered run; None where there is none, or one that a busy machine may have spoilt."""
        try:
            found = Observed(**read_json(self.folder(program) / "run.json"))
        except (CaseError, TypeError):
            return None
        return found if found.ended in ("ok", "crashed") else None

    def keep(self, program: Program, run: Observed, case: Path, diagnosis: Path) -> None:
        """Remember `run` with its case and diagnosis, whichever of the two there is."""
        whole = case.parent / "kept"
        whole.mkdir()
        write_json(whole / "run.json", asdict(run))
        if case.is_dir():
            case.rename(whole / "case")
        if diagnosis.is_file():
            diagnosis.rename(whole / self._file)
        place = self.folder(program)
        shutil.rmtree(place, ignore_errors=True)
        with contextlib.suppress(OSError):  # another bench was faster: its run is as good
            whole.rename(place)

    @property
    def _file(self) -> str:
        return f"diagnosis-{self.judging}.json"

    def diagnosis(self, program: Program) -> dict[str, Any] | None:
        """What the rules of today said about `program`; None where they were not asked yet."""
        try:
            found = read_json(self.folder(program) / self._file)
        except CaseError:
            return None
        return found if isinstance(found, dict) else None

    def keep_diagnosis(self, program: Program, diagnosis: dict[str, Any]) -> None:
        """Remember `diagnosis`; those by other rules are forgotten."""
        folder = self.folder(program)
        write_json(folder / self._file, diagnosis)
        for file in folder.glob("diagnosis-*.json"):
            if file.name != self._file:
                file.unlink(missing_ok=True)

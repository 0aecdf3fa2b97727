"""A run as a framework logs it: written as a case row by row, judged now and then by the rules that `cognate doctor` uses."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cognate.case.formats import SCHEMA
from cognate.case.store import Appender, write_json
from cognate.diagnosis.model import Diagnosed
from cognate.integrations.guard import LOG, Options, observed, said
from cognate.observe.logs.roles import assign, given
from cognate.observe.logs.run import number, printable, put, put_user
from cognate.version import __version__

if TYPE_CHECKING:
    from cognate.discovery import Skill
    from cognate.settings import Settings

# The other roles are counters, and those the framework gives itself.
_ROLES = ("loss", "val_loss", "lr", "grad_norm", "epoch")
# Judging reads the whole case again. Where rows must grow by a twentieth from one time to the next, that stays cheap.
_GROWTH = 0.05
# One such row is a skipped step or an empty batch. Three in a row are worth a look at once, three more confirm it.
_STREAKS = (3, 6)
_MOST_NAMES = 400
_LONGEST_TRACEBACK = 8000


class LoggedRun:
    """One training. It may raise: the adapters' hooks are `guarded`.

    Under `cognate run` nothing is written or said; it judges, in a temporary folder, only where it may stop the run.
    Nothing exists on disk before the first row.
    """

    def __init__(self, origin: str, options: Options, step_unit: str = "step", **facts: Any) -> None:
        self.origin = origin
        self.options = options
        self.facts: dict[str, Any] = {"step_unit": step_unit, "unreadable": 0, **facts}
        self.folder: Path | None = None
        self.should_stop = False
        self._silent = observed()
        self._closed = self._silent and options.stop_on is None
        self._roles: dict[str, str] = {}
        self._rows = self._judged = self._segment = self._step = self._streak = 0
        self._said: set[tuple[str, str]] = set()
        self._errors: set[str] = set()  # error-level findings of the last judgement
        self._judges = True
        self._skills: tuple[Skill, ...] | None = None  # both are loaded when first needed
        self._settings: Settings | None = None
        self._exception: dict[str, Any] | None = None
        self._file: Appender | None = None
        self._process = os.getpid()
        self._start = time.monotonic()
        self._started = _now()
        if not self._closed:
            atexit.register(self._abandoned)

    def log(self, values: Mapping[str, Any], step: int | None = None, epoch: float | None = None) -> None:
        """Add a row of what was logged: numbers, or tensors of one element, by the framework's names.

        Without `step` rows are counted. Raises OSError where the case cannot be written.
        """
        if self._closed:
            return
        row = self._row(values, step, epoch)
        if set(row) <= {"step", "epoch", "t", "segment"}:
            return
        if self._file is None:
            self._open()
        assert self._file is not None
        self._file.write(row)
        self._rows += 1
        if any(role in row for role in ("loss", "val_loss", "grad_norm")):
            bad = {"loss", "val_loss", "grad_norm"} & set(row.get("nonfinite", ()))
            self._streak = self._streak + 1 if bad else 0
        if self._rows - self._judged >= max(self.options.every, _GROWTH * self._rows) or self._streak in _STREAKS:
            self.judge()

    def judge(self) -> None:
        """Judge what was logged so far, say what is new, and decide whether to ask for a stop."""
        self._judged = self._rows
        self._write_info()
        if not self._judges:
            return
        try:
            findings = self._findings()
        except Exception as error:
            self._judges = False
            LOG.warning("cognate: this run cannot be judged (%s); the training goes on", said(error))
            return
        for finding in findings:
            if (finding.name, finding.severity) not in self._said:
                self._said.add((finding.name, finding.severity))
                self._say(finding)
        errors = {finding.name: finding for finding in findings if finding.severity == "error"}
        # A single judgement may fall on a bad moment that passes.
        lasting = [finding for name, finding in errors.items() if name in self._errors]
        self._errors = set(errors)
        if self.options.stop_on and lasting and not self.should_stop:
            self.should_stop = True
            LOG.warning("cognate: asks to stop the run at step %d: %s", self._step, lasting[0].title)

    def finish(self, finished: bool = True, error: BaseException | None = None) -> None:
        """Judge a last time and close the case; a second call does nothing. `finished`: the training came to its end."""
        if self._closed or os.getpid() != self._process:
            return
        atexit.unregister(self._abandoned)
        if self._file is None:
            self._closed = True
            return
        if isinstance(error, Exception):  # an interrupt is nobody's fault
            text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            self._exception = {"type": type(error).__name__, "message": str(error), "traceback": text[-_LONGEST_TRACEBACK:]}
        if self._rows > self._judged or self._exception:
            self.judge()
        self._write_info(finished and error is None)
        self._closed = True
        self._file.close()
        if self._silent and self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _abandoned(self) -> None:
        """The process ends and no hook said that the training did: it crashed, or was interrupted."""
        try:
            self.finish(finished=False)
        except Exception as error:
            LOG.warning("cognate: the end of the run is not recorded (%s)", said(error))

    def _row(self, values: Mapping[str, Any], step: int | None, epoch: float | None) -> dict[str, Any]:
        numbers = {printable(str(name)): _plain(value) for name, value in values.items()}
        numbers = {name: value for name, value in numbers.items() if number(value) != (None, None)}
        self._assign([name for name in numbers if name not in self._roles])
        here = self._rows + 1 if step is None else int(step)
        if here < self._step:
            self._segment += 1
        self._step = here
        row: dict[str, Any] = {"step": here, "t": round(time.monotonic() - self._start, 3)}
        if self._segment:
            row["segment"] = self._segment
        if epoch is not None:
            put(row, "epoch", epoch)
        for name, value in numbers.items():
            role = self._roles.get(name, "")
            if role.startswith("user."):
                put_user(row, name, value)
            elif role and role not in row:
                put(row, role, value)
        return row

    def _assign(self, names: list[str]) -> None:
        """Give new names their roles. A role that is taken stays taken: rows that are written cannot change their names."""
        names = names[: _MOST_NAMES - len(self._roles)]
        if not names:
            return
        if self._settings is None:
            from cognate.settings import load_settings

            self._settings = load_settings()
        with given(self._settings.columns):
            roles = assign([*self._roles, *names])
        taken = set(self._roles.values())
        for name in names:
            fits = roles[name] in _ROLES and roles[name] not in taken
            self._roles[name] = roles[name] if fits else f"user.{name}"
            taken.add(roles[name])

    def _open(self) -> None:
        if self._silent:
            self.folder = Path(tempfile.mkdtemp(prefix="cognate-"))
        else:
            self.folder = _new_folder(self.options.folder, self.origin)
        self._file = Appender(self.folder / "metrics.jsonl")
        self._write_info()

    def _write_info(self, finished: bool = False) -> None:
        assert self.folder is not None
        ended = {"ended": _now(), "seconds": round(time.monotonic() - self._start, 3)} if finished else {}
        info = {
            "schema": SCHEMA,
            "kind": "run",
            "origin": self.origin,
            "title": _script() or self.origin,
            "cognate": __version__,
            "cwd": str(Path.cwd()),
            "python": sys.version.split()[0],
            "started": self._started,
            **ended,
            "columns": self._roles,
            "log": {"file": str(self.folder / "metrics.jsonl"), **self.facts},
            **({"exception": self._exception} if self._exception else {}),
            "integrity": {"hooks": [], "steps_seen": self._step, "errors": [], "finished": finished},
        }
        write_json(self.folder / "case.json", info)

    def _findings(self) -> list[Diagnosed]:
        """What is wrong and explained by nothing else."""
        from cognate.case.case import Case
        from cognate.diagnosis.diagnose import diagnose
        from cognate.discovery import all_rules, load_skills

        assert self.folder is not None and self._settings is not None
        if self._skills is None:
            self._skills = load_skills(self._settings.skill_folders)
            self._settings.verify(all_rules(self._skills))
        diagnosis = diagnose(Case.open(self.folder), self._skills, self._settings.selection)
        return [finding for finding in diagnosis.findings if finding.explained_by is None and finding.severity != "info"]

    def _say(self, finding: Diagnosed) -> None:
        if self._silent:
            return
        from cognate.integrations.tell import tell

        LOG.warning("cognate: %s %s: %s (`cognate doctor %s`)", finding.severity, finding.name, finding.title, self.folder)
        tell(finding)


def _plain(value: Any) -> Any:
    """A tensor or array of one element as a number: this waits for the device, so adapters hand over only what is logged."""
    if isinstance(value, (int, float)):
        return value
    count = value.numel() if hasattr(value, "numel") else getattr(value, "size", None)
    return value.item() if count == 1 else None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _script() -> str:
    """The name of the script that runs, "" in a notebook or a shell."""
    name = Path(sys.argv[0]).stem if sys.argv and sys.argv[0] else ""
    return "" if name in ("-c", "-m", "ipykernel_launcher") else name


def _new_folder(wanted: str | Path | None, origin: str) -> Path:
    """The folder for a new case, with a number behind its name where another one has that. Raises OSError."""
    name = f"{_script() or origin.split()[0]}-{time.strftime('%Y%m%d-%H%M%S')}"
    first = Path(wanted) if wanted is not None else Path("runs") / name
    for count in range(1, 1000):
        folder = first if count == 1 else first.with_name(f"{first.name}-{count}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if wanted is None or any(folder.iterdir()):
                continue
        return folder.absolute()  # a script that changes its directory goes on writing here
    raise FileExistsError(f"{first} and a thousand names like it are taken")

"""`cognate doctor` on several runs: a folder that holds some, a database, several targets; and paths of other file systems."""

from __future__ import annotations

import gc
import io
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cognate.cli.judging import Format, existing, skills_and_settings, verdict_on, write_file
from cognate.errors import CognateError, UsageError

if TYPE_CHECKING:
    from cognate.cli.doctor import Asked
    from cognate.diagnosis.siblings import RunSummary
    from cognate.discovery import Skill
    from cognate.observe.logs.discover import Found
    from cognate.settings import Settings

# A process of its own costs 0.3 s until it can judge; a small run costs less.
_FEW, _SMALL = 4, 1 << 22
_UNREADABLE = 2


@dataclass(frozen=True)
class _Job:
    """A run to judge, for this process or another."""

    path: Path
    run: str | None
    label: str
    columns: tuple[str, ...]
    folder: Path | None  # where to keep its case
    whole: bool  # give the whole diagnosis back as well


def several(asked: Asked) -> int | None:
    """Judge what `asked` names as runs and return the exit code; None where it names one thing that `doctor` itself can read."""
    targets = [target for target in (asked.target, *asked.more) if target is not None]
    with ExitStack() as stack:
        places = [stack.enter_context(_place(target, asked.run)) for target in targets]
        if not places or (len(places) == 1 and _is_plain(places[0])):
            return None
        if asked.fix or asked.bundle is not None:
            if len(places) == 1 and places[0].run is None and places[0].path.is_dir():
                return None
            raise UsageError("--fix and --bundle take a script or one run: name that alone.")
        found, cut = [], False
        for place in places:
            runs, ended = _found(place, alone=len(places) == 1)
            found += runs
            cut = cut or ended
        if len(found) == 1 and len(places) == 1:
            return _alone(found[0], places[0], asked)
        return _table(found, asked, cut) if found else None


@dataclass(frozen=True)
class _Place:
    """A target: where it lies, how the user wrote it, and the run in it that is meant."""

    path: Path
    shown_as: str
    run: str | None = None
    remote: bool = False


@contextmanager
def _place(target: str, run: str | None) -> Iterator[_Place]:
    """Where `target` lies on this machine; a copy of what lies on another file system is removed at the end."""
    if "://" in target:
        from cognate.observe.logs.remote import fetched

        with fetched(target) as path:
            yield _Place(path, target, run, remote=True)
        return
    path = Path(target)
    name, separator, inside = target.rpartition("::")
    if separator and not path.exists() and not name.endswith(".py"):
        path, run = Path(name), run or inside
    yield _Place(path, target, run)


def _is_plain(place: _Place) -> bool:
    """Whether `doctor` reads the target without help from here: a script, a case, a file that is no database."""
    if place.run is not None or place.remote:
        return False
    path = place.path
    if path.is_dir():
        return (path / "case.json").is_file() or (path / "__main__.py").is_file()
    from cognate.observe.logs.sqlite import is_database

    return not is_database(path)


def _found(place: _Place, alone: bool) -> tuple[list[tuple[Found, str]], bool]:
    """The runs that a target names, each with its label, and whether the search for them was cut short."""
    from cognate.observe.logs.discover import Found, discover, runs_of

    path = existing(place.path)
    if path.name == "case.json":
        path = path.parent
    if place.run is not None:
        return [(Found(path, place.run), place.shown_as)], False
    if path.is_dir():
        runs, cut = discover(path)
        # Several targets keep their own names before that of the run.
        named = [(run, run.label(path) if alone else _joined(place.shown_as, run, path)) for run in runs]
        if runs or alone:
            return named, cut
    if path.is_file() and path.suffix in (".py", ".ipynb", ".sh"):
        raise UsageError(f"{path} is a script, and the other targets are runs: examine it alone.")
    try:
        known = runs_of(path)
    except CognateError:
        known = []
    # What is no run has a row as well: it was named, so it is answered.
    return [(run, _joined(place.shown_as, run, path)) for run in known or [Found(path)]], False


def _joined(shown_as: str, run: Found, root: Path) -> str:
    inside = "" if run.path == root else os.path.relpath(run.path, root)
    name = f"{shown_as.rstrip('/')}/{inside}" if inside else shown_as
    return f"{name}::{run.run}" if run.run else name


def _alone(found: tuple[Found, str], place: _Place, asked: Asked) -> int:
    """The full report of the only run that there is."""
    from cognate.case.case import Case
    from cognate.cli.doctor import fresh, import_log, report

    run, _ = found
    inside = os.path.relpath(run.path, place.path) if run.path != place.path else ""
    shown_as = f"{place.shown_as.rstrip('/')}/{inside}" if inside else place.shown_as
    if run.case:
        return report(Case.open(run.path), shown_as, asked)
    with tempfile.TemporaryDirectory(prefix="cognate-") as temporary:
        folder = fresh(asked.case) if asked.case is not None else Path(temporary)
        import_log(run.path, folder, asked.columns or [], run.run)
        return report(Case.open(folder), shown_as, asked)


def _table(found: Sequence[tuple[Found, str]], asked: Asked, cut: bool) -> int:
    """Judge each run and print the table of all."""
    from cognate.diagnosis.siblings import with_notes

    whole = asked.style is Format.JSON
    jobs = [
        _Job(run.path, run.run, label, tuple(asked.columns or ()), _folder(asked.case, number, label), whole)
        for number, (run, label) in enumerate(found, 1)
    ]
    results = list(_judged(jobs))
    runs = with_notes([summary for summary, _ in results])
    if not asked.quiet or asked.output is not None:
        _deliver(runs, [diagnosis for _, diagnosis in results], asked, cut)
    codes = {run.exit_code for run in runs}
    return next((code for code in (3, 1) if code in codes), _UNREADABLE if _UNREADABLE in codes else 0)


def _folder(case: Path | None, number: int, label: str) -> Path | None:
    """Where to keep the case of one of several runs."""
    if case is None:
        return None
    plain = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in label).strip(".-")
    return case / f"{number:03}-{plain[-80:]}"


def _deliver(runs: list[RunSummary], diagnoses: list[dict[str, Any] | None], asked: Asked, cut: bool) -> None:
    from cognate.render.runs import as_json, as_markdown, render

    shown_as = asked.target if not asked.more else f"{1 + len(asked.more)} targets"
    if asked.style is Format.JSON:
        text = as_json(runs, diagnoses)
    elif asked.style is Format.MARKDOWN:
        text = as_markdown(runs, str(shown_as))
    else:
        # Several targets, and the runs of a database, are called as they were given.
        inside = not asked.more and "://" not in str(asked.target) and Path(str(asked.target)).is_dir()
        within = str(asked.target).rstrip("/") + "/" if inside and asked.target != "." else ""
        text = render(runs, str(shown_as), sys.stdout if asked.output is None else io.StringIO(), within, cut)
    if asked.output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        write_file(asked.output, text)
        print(f"{asked.output}: {len(runs)} runs", file=sys.stderr)


_Result = tuple["RunSummary", "dict[str, Any] | None"]


def _judged(jobs: Sequence[_Job]) -> Iterator[_Result]:
    """The results in the order of the jobs: here where they are few and small, else in as many processes as there are cores."""
    workers = min(os.cpu_count() or 1, len(jobs))
    gc.enable()  # doctor turned it off for one short case
    if workers == 1 or (len(jobs) <= _FEW and sum(map(_size, jobs)) < _SMALL):
        yield from map(_judge, jobs)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # Not forked: libraries that read tables keep threads, and a fork would copy their locks.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for number, result in enumerate(pool.map(_judge, jobs), 1):
            if sys.stderr.isatty():
                print(f"\r{number} of {len(jobs)} runs", end="\r" if number == len(jobs) else "", file=sys.stderr, flush=True)
            yield result


def _size(job: _Job) -> int:
    try:
        files = [job.path] if job.path.is_file() else [file for file in job.path.iterdir() if file.is_file()]
        return sum(file.stat().st_size for file in files)
    except OSError:
        return 0


def _judge(job: _Job) -> _Result:
    """Read and judge one run; a log that can't be read is an answer too."""
    from cognate.diagnosis.siblings import RunSummary

    try:
        with tempfile.TemporaryDirectory(prefix="cognate-") as temporary:
            return _examined(job, Path(temporary))
    except CognateError as error:
        return RunSummary(job.label, error=str(error), exit_code=_UNREADABLE), None
    except RecursionError:
        return RunSummary(job.label, error=f"{job.path} is nested too deep for a log.", exit_code=_UNREADABLE), None


@cache
def _loaded() -> tuple[tuple[Skill, ...], Settings]:
    """Once a process: the same rules judge every run."""
    return skills_and_settings()


def _examined(job: _Job, temporary: Path) -> _Result:
    from cognate.case.case import Case
    from cognate.cli.doctor import exit_code, import_log
    from cognate.diagnosis import diagnose
    from cognate.diagnosis.siblings import summarise

    if (job.path / "case.json").is_file():
        case = Case.open(job.path)
    else:
        folder = job.folder or temporary
        import_log(job.path, folder, list(job.columns), job.run)
        case = Case.open(folder)
    skills, settings = _loaded()
    diagnosis = diagnose(case, skills, settings.selection)
    diagnosis = replace(diagnosis, subject=replace(diagnosis.subject, path=job.label))
    code = exit_code(verdict_on(diagnosis, settings))
    return summarise(job.label, case, diagnosis, code), diagnosis.to_dict() if job.whole else None

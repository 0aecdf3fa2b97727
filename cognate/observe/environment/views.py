"""Who says what about a contested module: the command, `python -c`, `pip list`, and other interpreters, side by side.

Nothing of it is run: each view is computed from the path that it would have.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cognate.observe.environment import nearby
from cognate.observe.environment.distributions import Distributions
from cognate.observe.environment.resolve import winner
from cognate.observe.environment.syspath import Command, compute
from cognate.observe.environment.words import interpreter_of, shebang_of

if TYPE_CHECKING:
    from cognate.case.schema import ImportTrace, View
    from cognate.observe.environment.rows import Rows
    from cognate.observe.environment.trace import Tracer

MODULES = 3  # shown side by side; more would hide the first


def views(rows: list[ImportTrace], table: Rows, tracer: Tracer, others: list[dict[str, Any]]) -> list[View]:
    """The views of the first modules on which the command and somebody else disagree."""
    found: list[View] = []
    told: set[str] = set()
    for row in rows:
        module = row["module"].partition(".")[0]
        if module in told or len(told) >= MODULES or row.get("type_checking") or not _contested(row):
            continue
        asked = [_command(row, module, tracer), _code(module, table, tracer), *_pip(module, table, tracer)]
        asked += [*_shebang(module, tracer), *(_elsewhere(module, other) for other in others)]
        # Where nobody finds anything, there is nothing to set side by side.
        if len({(bool(view.get("file")) and not view.get("fails"), view.get("version")) for view in asked}) > 1:
            told.add(module)
            found += asked
    return found


def _contested(row: ImportTrace) -> bool:
    return row["status"] != "found" or any(row.get(key) for key in ("losers", "wants", "breaks_at", "elsewhere"))


def _command(row: ImportTrace, module: str, tracer: Tracer) -> View:
    place = row.get("winner", {}) if row["status"] == "found" else {}
    view = _view("command", module, tracer.interpreter.executable, place)
    first = next(iter(tracer.path), None)
    if first is not None:
        view |= {"first": first.path, "first_by": first.by}
    if row["status"] != "found":
        view["fails"] = f"No module named {row.get('missing') or module}"
    elif row.get("breaks_at"):
        last = row["breaks_at"][-1]
        view["fails"] = str(last.get("detail") or last.get("reason") or f"{last['module']} fails")
    elif row.get("wants"):
        view["fails"] = f"it holds no {row['wants'][0]['name']}"
    guard = row.get("guard")
    if guard is not None and guard.get("message") and view.get("fails"):
        view["says"] = str(guard["message"])
    return view


def _code(module: str, table: Rows, tracer: Tracer) -> View:
    """`python -c "import MODULE"` in the same folder and shell: the working folder leads, no file edits the path."""
    path = compute(tracer.interpreter, Command(tracer.cwd, code=f"import {module}"), tracer.environ)
    chosen = winner(tracer.finder.candidates(module, path))
    place: Mapping[str, Any] = table.place(module, chosen) if chosen is not None else {}
    view = _view("python -c", module, tracer.interpreter.executable, place)
    if path:
        view |= {"first": path[0].path, "first_by": path[0].by}
    return view


def _pip(module: str, table: Rows, tracer: Tracer) -> Iterator[View]:
    """What `pip list` of the same interpreter shows: metadata, whatever an import makes of it."""
    item = table.provider(module)
    view = _view("pip list", module, tracer.interpreter.executable, {})
    if item is not None:
        view |= {"distribution": item.title, "version": item.version, "file": str(item.metadata)}
    yield view


def _shebang(module: str, tracer: Tracer) -> Iterator[View]:
    """The interpreter that the script's own first line names, where it is another one."""
    file = tracer.entry() if tracer.command.script is not None else None
    words = shebang_of(file) if file is not None else None
    if file is None or not words or "python" not in " ".join(words):
        return
    python = interpreter_of(file, words, tracer.cwd, tracer.environ).python
    prefix = os.path.dirname(os.path.dirname(python)) if python else ""
    if python and os.path.exists(python) and not os.path.samefile(prefix, tracer.interpreter.prefix):
        yield _elsewhere(module, {"python": python, "prefix": prefix, "found_by": f"the first line of {file.name}"})


def _elsewhere(module: str, other: Mapping[str, Any]) -> View:
    view = _view(str(other["found_by"]), module, str(other["python"]), {})
    for folder in nearby.site_folders(str(other["prefix"])):
        file = nearby.offered(folder, module)
        if file is None:
            continue
        view["file"] = str(file)
        item = Distributions([str(folder)]).providing(module)
        if item is not None:
            view |= {"distribution": item.title, "version": item.version}
        break
    return view


def _view(who: str, module: str, python: str, place: Mapping[str, Any]) -> View:
    view: View = {"who": who, "module": module, "python": python}
    for key in ("file", "distribution", "version"):
        if place.get(key):
            view[key] = place[key]
    return view

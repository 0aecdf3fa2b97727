"""Computes the `sys.path` that a command gets, entry by entry, with what put each entry there."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cognate.observe.environment.interpreter import Interpreter
from cognate.observe.source import PathEdit
from cognate.observe.source.edits import EditReader
from cognate.observe.source.evaluate import Evaluator

PTH_LIMIT = 100_000


@dataclass(frozen=True)
class Entry:
    """One entry of the path. `mapping` is the table of an editable install's import hook."""

    path: str
    origin: str
    by: str
    mapping: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Command:
    """What is run: a script, a module, code or tests, from a folder, with the interpreter's own one-letter flags."""

    cwd: Path
    script: Path | None = None  # or a notebook
    module: str | None = None
    flags: str = ""  # such as "I" or "sE"
    code: str | None = None  # of `python -c`
    tests: Path | None = None  # what pytest is asked to run
    before: str = ""  # the folder that leads the path of pytest itself

    @property
    def isolated(self) -> bool:
        """Whether Python ignores the variables and the user's own folder."""
        return "I" in self.flags

    @property
    def obeys_variables(self) -> bool:
        """Whether PYTHON* variables count."""
        return not self.isolated and "E" not in self.flags


def compute(
    interpreter: Interpreter, command: Command, environ: Mapping[str, str], dead: list[tuple[str, str]] | None = None
) -> list[Entry]:
    """Return the path as Python computes it before the first line of the script runs.

    `dead` collects (folder, file:line) of .pth lines whose folder does not exist.
    """
    isolated, obeys = command.isolated, command.obeys_variables
    builder = _Builder()
    value = environ.get("PYTHONPATH", "") if obeys else ""
    for part in value.split(os.pathsep) if value else ():
        builder.add(os.path.abspath(command.cwd / part), "PYTHONPATH", "the variable PYTHONPATH")
    for folder in interpreter.stdlib:
        builder.add(folder, "stdlib", "the standard library")
    if "S" not in command.flags:
        no_user = isolated or "s" in command.flags or (obeys and bool(environ.get("PYTHONNOUSERSITE")))
        for kind, folder in interpreter.site:
            if Path(folder).is_dir() and not (kind == "user-site" and no_user):
                builder.add(folder, kind, _SITE_WORDS[kind])
                builder.read_pth(Path(folder))
    if dead is not None:
        dead += builder.dead
    first = [] if safe_path(interpreter, command, environ) else _first(command)
    return [*first, *builder.entries, *builder.hooks]


def safe_path(interpreter: Interpreter, command: Command, environ: Mapping[str, str]) -> bool:
    """Whether Python leaves out the script's or the working folder (-I, -P, PYTHONSAFEPATH)."""
    wanted = "P" in command.flags or (command.obeys_variables and bool(environ.get("PYTHONSAFEPATH")))
    return command.isolated or (wanted and interpreter.version_info >= (3, 11))


_SITE_WORDS = {
    "venv": "site-packages of the virtual environment",
    "user-site": "the user's own site-packages (pip install --user)",
    "site-packages": "site-packages of the interpreter",
}


def _first(command: Command) -> list[Entry]:
    if command.script is not None:
        target = Path(os.path.realpath(command.cwd / command.script))
        if target.suffix == ".ipynb":
            return [Entry(str(target.parent), "script", "Jupyter starts the kernel in the notebook's own folder")]
        folder = target if target.is_dir() else target.parent
        return [Entry(str(folder), "script", "Python puts the script's own folder first")]
    if command.tests is not None and command.before != str(command.cwd):
        return [Entry(command.before, "script", "the folder of the pytest command")]
    return [Entry(os.path.abspath(command.cwd), "cwd", "Python puts the working folder first")]


class _Builder:
    """The part of the path that `site` makes: absolute, without repetitions."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.hooks: list[Entry] = []
        self.dead: list[tuple[str, str]] = []
        self._known: set[str] = set()

    def add(self, path: str, origin: str, by: str) -> None:
        path = os.path.abspath(path)
        key = os.path.normcase(path)
        if key not in self._known:
            self._known.add(key)
            self.entries.append(Entry(path, origin, by))

    def read_pth(self, folder: Path) -> None:
        try:
            names = sorted(name for name in os.listdir(folder) if name.endswith(".pth") and not name.startswith("."))
        except OSError:
            return
        for name in names:
            file = folder / name
            try:
                text = file.read_bytes()[:PTH_LIMIT].decode("utf-8-sig", "replace")
            except OSError:
                continue
            for number, line in enumerate(text.splitlines(), 1):
                self._line(folder, file, number, line.rstrip())

    def _line(self, folder: Path, file: Path, number: int, line: str) -> None:
        if not line.strip() or line.startswith("#"):
            return
        if line.startswith(("import ", "import\t")):
            self._hook(folder, file, number, line)
            return
        target = os.path.abspath(folder / line)
        if Path(target).exists():
            self.add(target, "pth", f"{file}:{number}")
        elif "\0" not in line:
            self.dead.append((target, f"{file}:{number}"))

    def _hook(self, folder: Path, file: Path, number: int, line: str) -> None:
        """A code line that installs the finder of an editable install: its table is read, the code is not run."""
        module = line.replace(";", " ").split()[1]
        finder = folder / f"{module}.py"
        mapping = _mapping(finder) if "editable" in module else None
        if mapping is not None:
            self.hooks.append(Entry(str(finder), "editable-hook", f"{file}:{number}", tuple(sorted(mapping.items()))))
            return
        try:
            statements = ast.parse(line).body
        except (SyntaxError, ValueError):
            return
        reader = EditReader(file, Evaluator(file, folder))
        for statement in statements:
            edit = reader.read(statement, None)
            if edit is not None:
                self.entries = apply_edit(self.entries, edit, folder, "pth", f"{file}:{number}")


def _mapping(finder: Path) -> dict[str, str] | None:
    try:
        tree = ast.parse(finder.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(target, ast.Name) and target.id == "MAPPING":
            try:
                table = ast.literal_eval(node.value) if node.value is not None else {}
            except ValueError:
                return None
            return {str(key): str(value) for key, value in table.items()} if isinstance(table, dict) else None
    return None


def apply_edit(path: list[Entry], edit: PathEdit, cwd: Path, origin: str = "edit", place: str = "") -> list[Entry]:
    """Return the path after `edit`. An edit that cannot be computed leaves it as it was."""
    place = place or f"{edit.file}:{edit.line}"

    def entries(values: tuple[str, ...]) -> list[Entry]:
        return [Entry(os.path.abspath(cwd / value), origin, place) for value in values]

    before, after = entries(edit.before), entries(edit.after)
    if edit.action == "insert":
        index = edit.index if edit.index >= 0 else max(0, len(path) + edit.index)
        return [*path[:index], *before, *path[index:]]
    if edit.action == "append":
        return [*path, *after]
    if edit.action == "assign":
        return [*before, *(path if edit.keeps else ()), *after]
    if edit.action == "replace" and edit.known:
        return [*before, *path[1:]]
    if edit.action == "remove" and edit.known:
        gone = {entry.path for entry in after}
        match = next((entry for entry in path if entry.path in gone), None)
        return [entry for entry in path if entry is not match]
    if edit.action == "pop" and edit.known and -len(path) <= edit.index < len(path):
        index = edit.index % len(path)
        return [*path[:index], *path[index + 1 :]]
    return path

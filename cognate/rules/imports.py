"""What the rules about imports share: reading the rows, naming files as the user knows them, computing commands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from cognate.case.case import Case
from cognate.rules.model import Evidence, Location, Severity

if TYPE_CHECKING:
    from cognate.case.schema import DistributionTrouble, ImportTrace, ModulePlace


def judged(case: Case) -> list[ImportTrace]:
    """The import rows that can matter on this machine: not for type checkers, not for another platform."""
    return [
        row
        for row in case.environment.get("imports", [])
        if not row.get("type_checking") and row.get("gate") != "platform" and not _unneeded(case, row)
    ]


def _unneeded(case: Case, row: ImportTrace) -> bool:
    """Whether the row stands in the handler of an import that succeeds, so that it never runs."""
    primary = row.get("alternative_to")
    if not primary:
        return False
    for other in case.environment.get("imports", []):
        if other.get("file") == row.get("file") and top(other) == primary.partition(".")[0] and other is not row:
            return other.get("status") == "found" and not other.get("breaks_at") and not other.get("wants")
    return True  # an import that is not listed is a plain one of the standard library: it succeeds


def top(row: ImportTrace) -> str:
    """The top-level module of a row."""
    return row["module"].partition(".")[0]


def by_top(rows: list[ImportTrace]) -> dict[str, ImportTrace]:
    """The first row of each top-level module, in order."""
    first: dict[str, ImportTrace] = {}
    for row in rows:
        first.setdefault(top(row), row)
    return first


def certain(row: ImportTrace) -> bool:
    """Whether the import runs whenever the script does."""
    return row.get("reached", True) and not row.get("gate")


def fails_aloud(row: ImportTrace) -> bool:
    """Whether the failure of the import stops the script: unguarded, or its handler raises or exits."""
    guard = row.get("guard")
    return guard is None or guard.get("does") in ("raise", "exit")


def meant(row: ImportTrace) -> list[dict[str, Any]]:
    """The other interpreters in which a missing module is installed and that the user may have meant.

    For an optional import only an environment that belongs to this code tells: one that happens to be on PATH does not.
    """
    if row.get("status") != "missing" or "." in row.get("missing", ""):
        return []
    others = [item for item in row.get("elsewhere", []) if item["kind"] == "interpreter"]
    return others if fails_aloud(row) else [item for item in others if "on PATH" not in item["found_by"]]


def half_installed(case: Case, row: ImportTrace) -> bool:
    """Whether the metadata or a leftover of the missing module's distribution is there: broken, not absent."""
    if row.get("status") != "missing" or "." in row.get("missing", ""):
        return False
    return bool(row.get("winner", {}).get("distribution")) or any(
        top(row) in trouble.get("imports", []) and trouble.get("kind") in TELLING
        for trouble in case.environment.get("troubles", [])
    )


# Kinds of trouble that say more of a missing module than that it is missing.
TELLING = frozenset({"missing-files", "leftover", "abi", "damaged", "truncated", "unreadable", "stale-editable"})


def troubles(case: Case, *kinds: str) -> list[DistributionTrouble]:
    """The troubles of these kinds with what is installed."""
    return [item for item in case.environment.get("troubles", []) if item.get("kind") in kinds]


def around(case: Case, *kinds: str) -> list[dict[str, Any]]:
    """What was seen of these kinds in the surroundings of the command."""
    return [item for item in case.environment.get("surroundings", []) if item.get("kind") in kinds]


def broken(case: Case, *reasons: str) -> list[tuple[ImportTrace, dict[str, Any]]]:
    """(row, last link) of the imports that break below what they import, for one of these reasons; one for each link."""
    found: dict[tuple[Any, ...], tuple[ImportTrace, dict[str, Any]]] = {}
    for row in judged(case):
        chain = row.get("breaks_at", [])
        if chain and chain[-1].get("reason") in reasons:
            found.setdefault((chain[-1]["file"], chain[-1]["line"], chain[-1]["module"]), (row, chain[-1]))
    return list(found.values())


def chain_evidence(case: Case, row: ImportTrace) -> tuple[Evidence, ...]:
    """The links from the user's import to what breaks, one line each, and what a handler says of it."""
    lines = [Evidence("import", row["statement"], source=f"{shown(case, row['file'])}:{row['line']}")]
    for link in row.get("breaks_at", []):
        at = f"{shown(case, link['file'])}:{link['line']}" if link.get("line") else shown(case, link["file"])
        lines.append(Evidence("which needs", link["module"], link.get("detail", ""), at))
    return (*lines, *handler_says(row))


def handler_says(row: ImportTrace) -> tuple[Evidence, ...]:
    """What the handler around the import tells instead of the truth."""
    message = row.get("guard", {}).get("message")
    return (Evidence("the handler says instead", message, source=f"line {row['guard']['line']}"),) if message else ()


def weight(row: ImportTrace) -> Severity:
    """How bad the failure of this import is: it stops the script, its silence misleads, or it may never be run or be meant."""
    if fails_aloud(row):
        return Severity.ERROR if certain(row) else Severity.INFO
    guard = row.get("guard", {})
    return Severity.ERROR if guard.get("use") else Severity.WARNING if guard.get("message") else Severity.INFO


def imported_at(case: Case, *modules: str) -> Location | None:
    """Where the first-party code imports the first of `modules`."""
    for row in judged(case):
        if top(row) in modules and row.get("statement"):
            return located(case, row["file"], row["line"])
    return None


def place_of(case: Case, item: Mapping[str, Any]) -> Location | None:
    """The location that a surroundings row names."""
    return located(case, item.get("file"), item.get("line"))


def off_by_edit(row: ImportTrace) -> bool:
    """Whether the missing module would be found without the edits of sys.path."""
    then = row.get("counterfactual", {})
    return row.get("status") == "missing" and then.get("without") == "the edits of sys.path" and bool(then.get("then"))


def told_elsewhere(case: Case, row: ImportTrace) -> bool:
    """Whether another rule names the cause of this missing import more closely than "it is not installed"."""
    if (
        row.get("switched_off")
        or row.get("removed_from_python")
        or row.get("other_version")
        or row.get("breaks_at", [{}])[-1].get("reason") in ("abi", "name")
    ):
        return True
    if any(top(row) in item.get("modules", []) for item in around(case, "path-malformed")):
        return True
    stale = any(top(row) in item.get("imports", []) for item in troubles(case, "dead-path"))
    return stale or bool(meant(row)) or half_installed(case, row) or off_by_edit(row)


def shown(case: Case, path: str) -> str:
    """`path` as the user would type it: relative to the working folder where it lies below it."""
    cwd = case.environment.get("cwd") or case.info.get("cwd") or ""
    try:
        inner = PurePath(path).relative_to(cwd) if cwd else None
    except ValueError:
        inner = None
    if inner is None:
        return path
    return "." if inner.as_posix() == "." else f"./{inner.as_posix()}"


def module_file(place: ModulePlace) -> str:
    """The folder with a closing slash for packages, else the file."""
    return place["file"] + ("/" if place.get("kind") in ("package", "namespace") else "")


def located(case: Case, file: str | None, line: int | None) -> Location | None:
    """A location whose file is relative to the script's folder (with `-m`, the working folder) where it lies below it."""
    if not file:
        return None
    environment = case.environment
    sources = environment.get("sources") or []
    base = str(PurePath(sources[0]).parent) if sources else ""
    if "-m" in environment.get("command", []):
        base = environment.get("cwd", "")
    inside = base and file.startswith(base + "/")
    return Location(file[len(base) + 1 :] if inside else file, line)


def python(case: Case) -> str:
    """The examined interpreter, quoted for a shell."""
    return shlex.quote(str(case.environment.get("python", {}).get("executable", "python")))


def pip_install(case: Case, *words: str) -> str:
    """The command that installs into exactly the examined interpreter."""
    return f"{python(case)} -m pip install {' '.join(shlex.quote(word) for word in words)}"


def rename(case: Case, place: ModulePlace, taken: str) -> tuple[str, str]:
    """Return (command that renames a shadowing file or package, its new module name)."""
    new = f"local_{taken}"
    old = PurePath(place["file"])
    target = old.with_name(new + (old.suffix if place.get("kind") != "package" else ""))
    verb = "git mv" if place.get("tracked") else "mv"
    names = (shown(case, str(item)).removeprefix("./") for item in (old, target))
    return f"{verb} {' '.join(shlex.quote(name) for name in names)}", new


def label(place: ModulePlace, module: str) -> str:
    """Name what a place is: the standard library's, an installed distribution with its version, or a file."""
    if place.get("owner") == "stdlib":
        return f"the standard library's {module}"
    if place.get("distribution"):
        return f"the installed {place['distribution']} {place.get('version', '')}".rstrip()
    return place["file"]


def importers_text(row: ImportTrace) -> str:
    """The first place in installed code that imports the row's module."""
    users: list[dict[str, Any]] = row.get("importers", [])
    return f"{users[0]['file']}:{users[0]['line']}" if users else ""

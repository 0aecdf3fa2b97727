"""The evidence about an environment: `environment.json`. Part of the schema of a case, kept in a file of its own."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict


class Distribution(TypedDict, total=False):
    """An installed distribution, read from the name of its metadata folder."""

    name: str
    version: str
    location: str  # the folder that holds it
    metadata: str  # its .dist-info or .egg-info
    editable: str  # the source folder of an editable install


class PathEntry(TypedDict, total=False):
    """One entry of the `sys.path` that the command gets, in order."""

    path: str
    origin: Literal["script", "cwd", "PYTHONPATH", "stdlib", "venv", "user-site", "site-packages", "pth", "edit", "editable-hook"]
    by: str  # what put it there, in words: the variable, the file and line
    exists: bool


class ModulePlace(TypedDict, total=False):
    """Where a top-level module would be loaded from."""

    file: str  # the module's file or the package's folder
    kind: Literal["package", "module", "extension", "bytecode", "namespace", "zip", "hook"]
    entry: str  # the path entry that holds it
    origin: str  # that entry's origin
    by: str  # what put that entry there
    owner: Literal["first-party", "stdlib", "installed"]
    distribution: str
    version: str
    tracked: bool  # git knows the file
    checkout: str  # an editable install's own package also lies here, in the project under examination
    beside: str  # a source file of the same name that this place hides


class GuardInfo(TypedDict, total=False):
    """The handler that catches the failure of an import."""

    line: int
    catches: list[str]
    does: Literal["fallback", "none", "raise", "exit", "pass"]
    message: str | None
    sets: list[str]
    use: dict[str, Any]  # first use that needs the import although it may have failed: {"line": int, "text": str}


class ImportTrace(TypedDict, total=False):
    """How one import of the first-party code resolves, and why. Plain imports of the standard library are not listed."""

    module: str  # dotted, absolute
    statement: str
    file: str
    line: int
    status: Literal["found", "missing", "unknown"]  # unknown: a hook or an edit that cannot be computed may provide it
    why: str  # where the status needs words
    missing: str  # the first component that is not found, such as pkg.sub
    winner: ModulePlace
    losers: list[ModulePlace]  # later on the path
    counterfactual: dict[str, Any]  # {"without": a file or "the edits of sys.path", "then": ModulePlace | None}
    wants: list[dict[str, Any]]  # names asked of a first-party winner that it lacks: {"name", "file", "line"}
    own_project: bool  # the installed loser is a copy of the very project that the winner belongs to
    importers: list[dict[str, Any]]  # installed code that imports the same name: {"file", "line", "certain"}
    guard: GuardInfo
    alternative_to: str  # the import stands in the handler of this one
    gate: str
    function: str
    reached: bool  # at module level, or in a function that module-level code calls
    type_checking: bool
    # The chain of imports to the first that fails: {"file", "line", "module"}, the last one with "reason" and "detail".
    breaks_at: list[dict[str, Any]]
    install: str  # the distribution to install for a missing module
    cycle: dict[str, Any]  # asks a module that is still loading for a name: {"name", "file", "line", "asked_at", "text"}
    switched_off: dict[str, Any]  # a flag or variable hides the missing module: {"by", "then": ModulePlace}
    other_version: dict[str, str]  # it lies in this prefix, for another version of Python: {"version", "file"}
    removed_from_python: dict[str, str]  # it left the standard library: {"since", "instead"}
    similar: list[dict[str, str]]  # for a missing module: {"kind": "spelling" | "renamed", …}
    elsewhere: list[dict[str, Any]]  # where else the module lies: {"kind": "interpreter" | "project", …}


class DistributionTrouble(TypedDict, total=False):
    """An installation of which something is missing or left over."""

    kind: Literal[
        "missing-files", "leftover", "duplicate", "missing-requirement", "no-metadata", "conflict", "requires-python",
        "project-python", "project-requirement", "extra-missing", "abi", "damaged", "truncated", "stale-editable", "collision",
        "dead-path", "unreadable",
    ]  # fmt: skip
    name: str
    version: str
    location: str
    imports: list[str]  # modules of it that the first-party code imports
    files: list[str]  # missing or left over, the first few
    count: int
    total: int
    versions: list[str]
    locations: list[str]
    requires: str
    specifier: str  # what is asked of `requires`
    found: str  # what there is instead, in words or as a version
    pair: str  # the version that would match
    abi: str  # first version that loads under NumPy 2, where that is known
    known: str  # what goes wrong with this pair of versions
    reason: str  # kind of damage of a compiled file
    machine: str  # platform that the files are built for, where it is another
    module: str
    extra: str
    file: str  # that states a requirement
    required_imports: list[str]
    importer: dict[str, Any]


class View(TypedDict, total=False):
    """What one way of asking says about one module, beside the command that is examined."""

    who: str  # "command", "python -c", "pip list", or how another interpreter was found
    module: str
    python: str  # the interpreter
    first: str  # sys.path[0]
    first_by: str  # what put it there
    file: str  # what it would load, or the metadata that it lists; absent: it finds nothing
    distribution: str
    version: str
    fails: str  # why loading that does not serve
    says: str  # what the script's own handler says instead


class EnvironmentInfo(TypedDict, total=False):
    """`environment.json`: the interpreter, its path, what is installed, and how the script's imports resolve."""

    python: dict[str, Any]  # executable, version, prefix, venv, chosen_by, platform
    command: list[str]  # the command whose environment this is
    cwd: str
    project: dict[str, Any]  # root, git, name (from pyproject.toml)
    path: list[PathEntry]
    distributions: list[Distribution]
    imports: list[ImportTrace]
    views: list[View]  # who says what about the contested modules
    dead_paths: list[dict[str, str]]  # folders that .pth lines name and that do not exist: "path", "by"
    path_edits: list[dict[str, Any]]  # file, line, text, action, values, known
    troubles: list[DistributionTrouble]
    interpreters: list[dict[str, Any]]  # others found nearby: python, prefix, found_by, version
    variables: dict[str, str]  # that decide how Python and the training stack behave; secrets redacted
    packages: dict[str, str]  # versions of the distributions that the first-party code imports
    sources: list[str]  # the first-party closure
    unparsed: list[str]  # first-party files that could not be read or parsed
    startup: list[dict[str, Any]]  # what stops the command before its first line: "kind" and what was seen
    surroundings: list[dict[str, Any]]  # variables, caches, encodings, GPUs, limits: "kind" and what was seen
    errors: list[dict[str, Any]]  # errors of a log: "type", "message", "file", "line"

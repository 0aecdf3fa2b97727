"""Names for the code that a result depends on: what observes, and what judges. A change of either renews what was cached."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import cognate
from cognate.discovery import Skill

PACKAGE = Path(cognate.__file__).parent
# What a program of a corpus may train with: another version may behave, and be observed, differently.
LIBRARIES = ("torch", "numpy", "transformers", "lightning", "accelerate")


def libraries() -> dict[str, str]:
    """Versions of the interpreter and of the libraries that are installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def observing() -> str:
    """A name for everything that decides what is recorded about a program."""
    files = [*PACKAGE.joinpath("observe").rglob("*.py"), PACKAGE / "case" / "store.py"]
    return _digest(files, PACKAGE, repr(sorted(libraries().items())))


def judging(skills: Iterable[Skill]) -> str:
    """A name for everything that decides what is said about a case: rules, ranking, measured confidence."""
    ours = [file for room in ("case", "rules", "diagnosis") for file in PACKAGE.joinpath(room).rglob("*")]
    names = [_digest([*ours, PACKAGE / "discovery.py"], PACKAGE)]
    names += [_digest(skill.path.rglob("*"), skill.path, skill.name) for skill in skills]
    return hashlib.sha256(" ".join(names).encode()).hexdigest()[:16]


def _digest(files: Iterable[Path], root: Path, also: str = "") -> str:
    state = hashlib.sha256(also.encode())
    for file in sorted(files):
        if file.suffix in (".py", ".json") and file.is_file() and "__pycache__" not in file.parts:
            state.update(f"\0{file.relative_to(root).as_posix()}\0".encode() + file.read_bytes())
    return state.hexdigest()[:16]

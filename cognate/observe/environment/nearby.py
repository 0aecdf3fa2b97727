"""Where else a missing module lies: other interpreters of this project, and folders of the project off the path."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

VENV_NAMES = (".venv", "venv", "env", ".env", "virtualenv")
MARKERS = ("pyproject.toml", "setup.py", "setup.cfg", ".git")
SOURCE_FOLDERS = ("", "src", "lib", "python")
NAME_LINE = re.compile(r"""^\s*name\s*=\s*["']?([A-Za-z0-9._-]+)""", re.MULTILINE)


def project(folder: Path, cwd: Path) -> dict[str, Any]:
    """Describe the project that `folder` belongs to: its root, whether git keeps it, the name it installs under."""
    root = next((place for place in (folder, *folder.parents) if any((place / mark).exists() for mark in MARKERS)), None)
    if root is None or root == Path.home() or root == root.parent:
        root = cwd if folder.is_relative_to(cwd) else folder
    name = None
    for file in ("pyproject.toml", "setup.cfg"):
        try:
            match = NAME_LINE.search((root / file).read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        name = match.group(1) if match else name
    in_git = any((place / ".git").exists() for place in (root, *root.parents))
    return {"root": str(root), "git": in_git, "name": name}


def interpreters(folder: Path, root: Path, cwd: Path, prefix: str, environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """Other environments that the user may have meant: beside the script, active in the shell, first on PATH."""
    places: list[tuple[Path, str]] = []
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if environ.get(variable):
            places.append((Path(environ[variable]), f"the variable {variable}"))
    inside = [place for place in (folder, *folder.parents) if place.is_relative_to(root)]
    for place in dict.fromkeys([*inside, root, cwd]):
        places += [(place / name, f"{place / name} beside the code") for name in VENV_NAMES]
    pip = shutil.which("pip", path=environ.get("PATH")) or shutil.which("pip3", path=environ.get("PATH"))
    command = shutil.which("python", path=environ.get("PATH")) or shutil.which("python3", path=environ.get("PATH"))
    if command:
        places.append((Path(command).parent.parent, "`python` on PATH"))
    if pip:
        places.append((_owner_of(Path(pip)), f"`pip` on PATH ({pip}) installs there"))
    found: dict[str, dict[str, Any]] = {}
    for place, found_by in places:
        real = os.path.abspath(place)
        python = next((item for item in (place / "bin/python", place / "Scripts/python.exe") if item.exists()), None)
        if python is not None and real != os.path.abspath(prefix) and real not in found:
            found[real] = {"python": os.path.abspath(python), "prefix": real, "found_by": found_by}
    return list(found.values())


def _owner_of(program: Path) -> Path:
    """The prefix that a program such as pip works for, by its shebang line."""
    try:
        words = program.read_bytes()[:300].partition(b"\n")[0].removeprefix(b"#!").decode("utf-8", "replace").split()
    except OSError:
        words = []
    python = Path(words[0]) if words and "python" in Path(words[0]).name else program
    return python.parent.parent


def site_folders(prefix: str) -> list[Path]:
    """The site-packages folders below a prefix, of whatever version."""
    return [*sorted(Path(prefix, "lib").glob("python3*/site-packages")), *Path(prefix).glob("Lib/site-packages")]


def offered(folder: Path, module: str) -> Path | None:
    """The file or folder of the top-level module `module` in `folder`."""
    for candidate in (folder / module / "__init__.py", folder / f"{module}.py"):
        if candidate.is_file():
            return candidate.parent if candidate.name == "__init__.py" else candidate
    return next(iter(sorted(folder.glob(f"{module}.*.so"))), None)


def in_interpreters(module: str, others: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The interpreters of `others` in which `module` is installed, each with the file."""
    for other in others:
        for folder in site_folders(other["prefix"]):
            file = offered(folder, module)
            if file is not None:
                yield {"kind": "interpreter", **other, "file": str(file)}
                break


def in_project(module: str, folder: Path, root: Path, cwd: Path, path: set[str]) -> Iterator[dict[str, Any]]:
    """Folders of the project, not on the path, that hold the first-party module `module`."""
    inside = [place for place in (folder, *folder.parents) if place.is_relative_to(root)]
    children = sorted(item for item in root.iterdir() if item.is_dir()) if root.is_dir() else []
    for base in dict.fromkeys([*inside, root, cwd, *children]):
        for name in SOURCE_FOLDERS:
            place = base / name
            if str(place) in path or "site-packages" in place.parts or base.name in VENV_NAMES:
                continue
            file = offered(place, module)
            if file is None and (place / module).is_dir() and any((place / module).glob("*.py")):
                file = place / module
            if file is not None:
                yield {"kind": "project", "root": str(place), "file": str(file)}
                return


# Modules that left the standard library: since which version, and what takes their place (PEP 594, PEP 632, What's New).
REMOVED = {
    "distutils": ((3, 12), "setuptools"),
    "imp": ((3, 12), "importlib"),
    "asyncore": ((3, 12), "asyncio"),
    "asynchat": ((3, 12), "asyncio"),
    "smtpd": ((3, 12), "aiosmtpd"),
    "cgi": ((3, 13), "legacy-cgi"),
    "pipes": ((3, 13), "subprocess"),
    "crypt": ((3, 13), "hashlib"),
    "telnetlib": ((3, 13), "telnetlib3"),
    "imghdr": ((3, 13), "filetype"),
    "sndhdr": ((3, 13), "filetype"),
    "audioop": ((3, 13), "audioop-lts"),
    "uu": ((3, 13), "base64"),
    "xdrlib": ((3, 13), "struct"),
    "lib2to3": ((3, 13), "libcst"),
}
# Distributions that offer the same thing under another import name: (missing module, installed distribution, its module).
RENAMED = (
    ("lightning", "pytorch-lightning", "pytorch_lightning"), ("pytorch_lightning", "lightning", "lightning.pytorch"),
    ("sklearn", "scikit-learn-intelex", "sklearnex"), ("tensorboardX", "tensorboard", "torch.utils.tensorboard"),
    ("apex", "torch", "torch.amp"), ("skopt", "scikit-optimize", "skopt"), ("faiss_gpu", "faiss-cpu", "faiss"),
)  # fmt: skip


def similar(module: str, folders: list[str], distributions: Any) -> list[dict[str, str]]:
    """Files on the path whose names differ from `module` by case, hyphens or a slip, and packages that were renamed."""
    found = []
    for folder in folders:
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            stem = name.removesuffix(".py")
            is_module = name.endswith(".py") or os.path.isfile(os.path.join(folder, name, "__init__.py"))
            if is_module and stem != module and _folded(stem) == _folded(module):
                found.append({"kind": "spelling", "file": os.path.join(folder, name), "name": stem})
    for missing, distribution, other in RENAMED:
        if missing == module and distributions.named(distribution) is not None:
            found.append({"kind": "renamed", "distribution": distribution, "name": other})
    return found


def _folded(name: str) -> str:
    return re.sub(r"[-_. ]", "", name).lower()


def tracked(file: Path) -> bool:
    """Whether git's index names `file`: read, git is not run."""
    root = next((place for place in file.parents if (place / ".git").exists()), None)
    if root is None:
        return False
    try:
        return file.relative_to(root).as_posix().encode() in (root / ".git" / "index").read_bytes()
    except OSError:
        return False

# ruff: noqa: E402
# Newer syntax would not run on the Python 3.8 that may be examined.
"""Asks an interpreter what only it can tell. Run as `PY -I -S -B probe.py`; prints one line of ASCII JSON."""

from __future__ import annotations

import sys

preloaded = sorted(set(sys.modules) - {"__future__", "__main__"})

import json
import os


def venv_config() -> tuple[str | None, dict[str, str]]:
    """Return (prefix, settings) of the virtual environment that the executable stands in, or (None, {})."""
    folder = os.path.dirname(os.path.abspath(sys.executable or ""))
    for place in (folder, os.path.dirname(folder)):
        try:
            with open(os.path.join(place, "pyvenv.cfg"), encoding="utf-8", errors="replace") as lines:
                pairs = [line.partition("=") for line in lines if "=" in line]
        except OSError:
            continue
        return place, {key.strip().lower(): value.strip() for key, _, value in pairs}
    return None, {}


def site_folders(prefix: str | None, config: dict[str, str]) -> list[list[str]]:
    """Return [kind, folder] in the order in which the site module adds them, whether or not they exist."""
    import site

    base = sys.base_prefix
    shared = config.get("include-system-site-packages", "true").lower() == "true"
    found = []
    if prefix:
        sys.prefix = sys.exec_prefix = prefix
        found += [["venv", folder] for folder in site.getsitepackages([prefix])]
    if not prefix or shared:
        try:
            found.append(["user-site", site.getusersitepackages()])
        except Exception:  # no home folder: there is no user site then
            pass
        sys.prefix = sys.exec_prefix = base
        found += [["site-packages", folder] for folder in site.getsitepackages([base])]
    return found


def frozen() -> list[str]:
    """Names of modules that are compiled into the interpreter and found before any file."""
    try:
        import _imp

        names: list[str] = _imp._frozen_module_names()  # type: ignore[attr-defined]
        return [name for name in names if not name.startswith(("__hello", "__phello"))]
    except (ImportError, AttributeError):
        return ["zipimport"]


def stdlib_names(path: list[str]) -> list[str]:
    """Top-level names of the standard library, from its folders where this version keeps no list."""
    names = getattr(sys, "stdlib_module_names", None)
    if names:
        return sorted(names)
    found = set(sys.builtin_module_names)
    for folder in path:
        if os.path.isdir(folder):
            found.update(name.split(".")[0] for name in os.listdir(folder))
    return sorted(name for name in found if name.isidentifier() and name != "test")


def magic() -> str:
    """The mark of this version's bytecode files, in hexadecimal."""
    try:
        from importlib.util import MAGIC_NUMBER

        return MAGIC_NUMBER.hex()
    except ImportError:
        return ""


def libc() -> str:
    """Version of the C library, such as "glibc 2.36"."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):
        return ""


def main() -> None:
    """Print the answers."""
    from importlib import machinery

    path = list(sys.path)
    # The probe's own folder leads the path of versions before 3.11 even under -I on some builds.
    path = [entry for entry in path if entry and os.path.abspath(entry) != os.path.dirname(os.path.abspath(__file__))]
    prefix, config = venv_config()
    answers = {
        "version": sys.version.split()[0],
        "version_info": list(sys.version_info[:3]),
        "implementation": sys.implementation.name,
        "executable": sys.executable,
        "platform": sys.platform,
        "base_prefix": sys.base_prefix,
        "prefix": prefix or sys.base_prefix,
        "venv": config if prefix else None,
        "stdlib": path,
        "stdlib_names": stdlib_names(path),
        "builtin": list(sys.builtin_module_names),
        "frozen": frozen(),
        "preloaded": preloaded,
        "site": site_folders(prefix, config),
        "extensions": machinery.EXTENSION_SUFFIXES,
        "machine": os.uname().machine if hasattr(os, "uname") else "",
        "libc": libc(),
        "magic": magic(),
    }
    sys.stdout.write(json.dumps(answers, ensure_ascii=True) + "\n")


main()

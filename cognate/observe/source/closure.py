"""The script and the first-party modules that it imports, found by reading; copies of them for the case."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from cognate.observe.source.imports import Import, scan
from cognate.observe.source.text import SIZE_LIMIT

# A training project has tens of modules; the bound keeps a script that imports a whole repository from costing seconds.
FILE_LIMIT = 400
INSTALLED = frozenset({"site-packages", "dist-packages"})


def module_file(name: str, roots: Iterable[Path]) -> Path | None:
    """Return the file that `python -m NAME` would run, searched under `roots`; None where there is none."""
    for root in roots:
        base = root.joinpath(*name.split("."))
        for candidate in (base / "__main__.py", base / "__init__.py", base.with_name(base.name + ".py")):
            if candidate.is_file():
                return candidate
    return None


def first_party(script: Path, roots: Iterable[Path] = ()) -> list[Path]:
    """Return `script` and the modules it imports, directly or not, from its folder, `roots` or its sys.path edits.

    Read by syntax alone. Folders called site-packages or dist-packages are nobody's own code.
    """
    cwd = Path.cwd()
    start = Path(os.path.realpath(script))
    places = list(dict.fromkeys([start.parent, *(Path(os.path.realpath(root)) for root in roots)]))
    found: dict[Path, None] = {start: None}
    queue = [start]
    while queue and len(found) < FILE_LIMIT:
        file = queue.pop(0)
        result = scan(file, cwd)
        for edit in result.edits:
            for value in (*edit.before, *edit.after) if edit.action not in ("remove", "chdir") else ():
                place = Path(os.path.realpath(cwd / value))
                if place not in places and place.is_dir():
                    places.append(place)
        for item in result.imports:
            for path in _files(item, file, places):
                if path not in found and not INSTALLED & set(path.parts):
                    found[path] = None
                    queue.append(path)
    return list(found)


def _files(item: Import, file: Path, places: list[Path]) -> Iterator[Path]:
    """Files that an import runs: each package on the way, the module, and submodules named after `import`."""
    if item.level:
        base = file.parent
        for _ in range(item.level - 1):
            base = base.parent
        bases = [base]
    else:
        bases = places
    parts = item.module.split(".") if item.module else []
    for base in bases:
        chain = list(_chain(base, parts))
        if parts and not chain:
            continue
        yield from (path for path in chain if path.is_file())
        holder = base.joinpath(*parts)
        for name in item.names:
            yield from (path for path in _chain(holder, [name]) if path.is_file())
        return


def _chain(base: Path, parts: list[str]) -> Iterator[Path]:
    for depth, part in enumerate(parts):
        package, module = base / part / "__init__.py", base / f"{part}.py"
        if package.is_file():
            yield package
        elif module.is_file():
            yield module
            return
        elif not (base / part).is_dir() or depth == len(parts) - 1:
            return
        base = base / part


def snapshot(script: Path | None, case: Path, base: Path, files: Iterable[Path] | None = None) -> None:
    """Copy `script` and its first-party modules under `case`/source/, keeping their paths relative to `base`.

    A file outside `base` is kept by its module path. What cannot be read, or exceeds the size limit, is left out.
    `files` gives the closure where it is already known; with neither it nor `script` nothing is copied.
    """
    if files is None:
        files = first_party(script, (base, Path.cwd())) if script is not None else ()
    root = Path(os.path.realpath(base))
    for file in files:
        try:
            if file.stat().st_size > SIZE_LIMIT:
                continue
            data = file.read_bytes()
            target = case / "source" / _relative(file, root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        except (OSError, ValueError):
            continue


def _relative(file: Path, root: Path) -> Path:
    if file.is_relative_to(root):
        return file.relative_to(root)
    top = file.parent
    while (top / "__init__.py").is_file() and top != top.parent:
        top = top.parent
    return file.relative_to(top)

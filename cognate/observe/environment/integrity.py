"""Files of the imported distributions that are there and cannot serve: another ABI, damaged, unreadable, orphaned."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cognate.observe.environment import binary
from cognate.observe.environment.distributions import Distributions, Installed
from cognate.observe.environment.interpreter import Interpreter

if TYPE_CHECKING:
    from cognate.case.schema import DistributionTrouble

COMPILED_FILES = 120  # looked at of one distribution
SHARED_INIT = re.compile(rb"declare_namespace|extend_path")


class Integrity:
    """Looks at the distributions that the first-party code imports, `used` by module name."""

    def __init__(
        self,
        distributions: Distributions,
        used: Mapping[str, Installed],
        interpreter: Interpreter,
        dead: list[tuple[str, str]],
        missing: frozenset[str],
    ) -> None:
        self._missing = missing
        self._distributions = distributions
        self._used = used
        self._interpreter = interpreter
        self._dead = dead

    def all(self) -> list[DistributionTrouble]:
        """Everything found."""
        rows: list[DistributionTrouble] = []
        for item in dict.fromkeys(self._used.values()):
            rows += [*self._abi(item), *self._damaged(item), *self._stale(item)]
        return [*rows, *self._collisions(), *self._dead_editables(), *self._unreadable()]

    def _of(self, item: Installed, kind: Any, **facts: Any) -> DistributionTrouble:
        row: DistributionTrouble = {
            "kind": kind,
            "name": item.title,
            "version": item.version,
            "location": str(item.folder),
            "imports": [module for module, used in self._used.items() if used == item],
        }
        return row | facts  # type: ignore[return-value]

    def _abi(self, item: Installed) -> Iterator[DistributionTrouble]:
        tags = item.fields_of("WHEEL", "Tag")
        if tags and not any(self._fits(tag) for tag in tags):
            yield self._of(
                item, "abi", files=tags[:3], found=_wanted(tags[0]), machine=_other_machine(tags, self._interpreter.machine)
            )
            return
        by_module: dict[str, list[str]] = {}
        for path in item.record():
            match = binary.TAGGED.search(path)
            if match:
                by_module.setdefault(path[: match.start()], []).append(path)
        for module, paths in by_module.items():
            if all(not path.endswith(tuple(self._interpreter.extensions)) for path in paths):
                folder, _, name = module.rpartition("/")
                if not any(
                    os.path.exists(item.folder / folder / f"{name}{suffix}") for suffix in (*self._interpreter.extensions, ".py")
                ):
                    yield self._of(item, "abi", files=paths[:3], found=binary.built_for(paths[0]), machine="")
                    return

    def _fits(self, tag: str) -> bool:
        """Whether a wheel of this tag was built for the interpreter, as far as the tag's words can tell."""
        python, _, rest = tag.partition("-")
        abi, _, platform = rest.partition("-")
        major, minor = self._interpreter.version_info[:2]
        ours = {f"cp{major}{minor}", f"py{major}", f"py{major}{minor}", f"pp{major}{minor}", "py2.py3"}
        older = re.fullmatch(rf"(?:cp|py){major}(\d+)", python)
        fits = python in ours or bool(set(python.split(".")) & ours)
        fits = fits or bool(older and (abi == "abi3" or (python.startswith("py") and abi == "none")) and int(older[1]) <= minor)
        words = platform.lower()
        machine = binary.SAME.get(self._interpreter.machine.lower(), self._interpreter.machine.lower())
        foreign = platform != "any" and machine and not any(word in words for word in _names(machine))
        foreign = foreign or ("win" in words and "darwin" not in words and self._interpreter.platform == "linux")
        foreign = foreign or ("macosx" in words and self._interpreter.platform == "linux")
        return fits and not foreign

    def _damaged(self, item: Installed) -> Iterator[DistributionTrouble]:
        looked = 0
        tops = {f"{module}/__init__.py" for module in item.modules()} | {f"{module}.py" for module in item.modules()}
        for path, size in item.sizes():
            compiled = path.endswith(".so") or ".so." in path
            if path in tops and size.isdigit() and int(size) > 1 and _empty(item.folder / path):
                yield self._of(item, "truncated", files=[path], found=f"it is empty, and RECORD says {size} bytes")
            if not compiled or looked >= COMPILED_FILES:
                continue
            looked += 1
            file = str(item.folder / path)
            if os.path.exists(file):
                found = binary.fault(file, self._interpreter.machine, self._interpreter.platform)
                if found:
                    yield self._of(item, "damaged", files=[path], found=found[1], reason=found[0])
                    return

    def _stale(self, item: Installed) -> Iterator[DistributionTrouble]:
        source = item.editable
        if source is not None and not os.path.isdir(source):
            yield self._of(item, "stale-editable", files=[source], found="the folder does not exist")

    def _collisions(self) -> Iterator[DistributionTrouble]:
        for module, item in self._used.items():
            init = f"{module}/__init__.py"
            file = item.folder / init
            if not file.is_file() or SHARED_INIT.search(file.read_bytes()[:4000]):
                continue
            needle = init.encode() + b","
            others = [
                other
                for other in self._distributions.all
                if other.folder == item.folder and other.name.lower() != item.name.lower() and needle in other.data("RECORD")
            ]
            others = [other for other in others if init in other.record()]
            if others and needle in item.data("RECORD"):
                yield self._of(item, "collision", requires=others[0].title, found=others[0].version, files=[init])

    def _dead_editables(self) -> Iterator[DistributionTrouble]:
        for folder, place in self._dead:
            stem = re.sub(r"^__editable__\W*|-[\d.]+$", "", Path(place.rpartition(":")[0]).stem)
            near = {name.replace("-", "_").lower() for name in (stem, *Path(folder).parts[-2:])}
            hit = sorted(name for name in self._missing if name.lower() in near)
            yield {"kind": "dead-path", "name": hit[0] if hit else stem, "location": place, "files": [folder], "imports": hit}

    def _unreadable(self) -> Iterator[DistributionTrouble]:
        for module, item in self._used.items():
            for path in (item.folder / module, item.folder / module / "__init__.py", item.folder / f"{module}.py"):
                found = unreadable(path)
                if found:
                    yield self._of(item, "unreadable", files=[str(path)], found=found)
                    break


def unreadable(path: Path) -> str | None:
    """Why nobody but root can read `path`, or why it leads nowhere; None where it can be read or is not there."""
    if path.is_symlink() and not path.exists():
        return f"it is a link to {os.readlink(path)}, which does not exist"
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if stat.S_ISDIR(mode) and not mode & 0o111:
        return f"its permissions ({stat.filemode(mode)}) let nobody enter it"
    return f"its permissions ({stat.filemode(mode)}) let nobody read it" if not mode & 0o444 else None


def _empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return False


def _names(machine: str) -> tuple[str, ...]:
    return {"x86_64": ("x86_64", "amd64", "universal2", "intel"), "aarch64": ("aarch64", "arm64", "universal2")}.get(
        machine, (machine,)
    )


def _other_machine(tags: list[str], machine: str) -> str:
    platform = tags[0].rpartition("-")[2]
    machine = binary.SAME.get(machine.lower(), machine.lower())
    return "" if platform == "any" or any(word in platform for word in _names(machine)) else platform


def _wanted(tag: str) -> str:
    match = re.match(r"(?:cp|py)(\d)(\d+)", tag)
    return f"Python {match[1]}.{match[2]}" if match else tag

"""Installations that are half gone: missing files, leftovers, duplicates, missing requirements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cognate.observe.environment.distributions import Distributions, Installed, missing_files, normal
from cognate.observe.environment.importers import Importers
from cognate.observe.environment.resolve import Finder
from cognate.observe.environment.syspath import Entry

if TYPE_CHECKING:
    from cognate.case.schema import DistributionTrouble

OVERRIDING = frozenset({"user-site", "PYTHONPATH", "pth", "edit"})
# Distributions whose modules bear another name than theirs, where a missing one would otherwise be suspected.
MODULE_OF = {
    "beautifulsoup4": "bs4",
    "gitpython": "git",
    "hydra-core": "hydra",
    "opencv-python": "cv2",
    "pillow": "PIL",
    "protobuf": "google",
    "pyjwt": "jwt",
    "pyyaml": "yaml",
    "pyzmq": "zmq",
    "python-dateutil": "dateutil",
    "python-dotenv": "dotenv",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "attrs": "attr",
}


class Troubles:
    """Looks at the distributions that the first-party code imports, `used` by module name."""

    def __init__(
        self,
        distributions: Distributions,
        used: Mapping[str, Installed],
        modules: Iterable[str],
        path: list[Entry],
        finder: Finder,
        markers: Mapping[str, str],
    ) -> None:
        self._markers = markers
        self._modules = sorted(modules)  # every top-level module that is imported, found or not
        self._distributions = distributions
        self._used = used
        self._path = path
        self._finder = finder
        self._imports: dict[str, list[str]] = {}
        for module, item in used.items():
            self._imports.setdefault(normal(item.name), []).append(module)

    def all(self) -> list[DistributionTrouble]:
        """Everything found, the worst kinds first."""
        return [*self._missing_files(), *self._missing_requirements(), *self._duplicates(), *self._leftovers()]

    def _of(self, item: Installed) -> DistributionTrouble:
        return {
            "name": item.title,
            "version": item.version,
            "location": str(item.folder),
            "imports": self._imports.get(normal(item.name), []),
        }

    def _missing_files(self) -> list[DistributionTrouble]:
        rows: list[DistributionTrouble] = []
        for item in dict.fromkeys(self._used.values()):
            gone, total = missing_files(item)
            if gone:
                row = self._of(item)
                # Whole top-level modules first: they decide whether the import works at all.
                gone.sort(key=lambda path: (path.count("/"), not path.endswith("__init__.py"), path))
                row |= {"kind": "missing-files", "files": gone[:5], "count": len(gone), "total": total}
                rows.append(row)
        return rows

    def _missing_requirements(self) -> list[DistributionTrouble]:
        rows: list[DistributionTrouble] = []
        queue = list(dict.fromkeys(self._used.values()))
        seen = {normal(item.name) for item in queue}
        while queue:
            item = queue.pop(0)
            for name in (need.name for need in item.requirements(self._markers)):
                if normal(name) in seen:
                    continue
                seen.add(normal(name))
                needed = self._distributions.named(name)
                if needed is not None:
                    queue.append(needed)
                    continue
                module = MODULE_OF.get(normal(name), normal(name).replace("-", "_"))
                row = self._of(item)
                if self._finder.candidates(module, self._path):
                    rows.append(row | {"kind": "no-metadata", "requires": name, "module": module})
                    continue
                row |= {"kind": "missing-requirement", "requires": name}
                users = Importers(sorted(item.modules()), [item.folder]).of([module]).get(module)
                if users:
                    row["importer"] = users[0]
                rows.append(row)
        return rows

    def _duplicates(self) -> list[DistributionTrouble]:
        origins = {entry.path: entry.origin for entry in reversed(self._path)}
        rows: list[DistributionTrouble] = []
        for name, items in self._distributions.by_name.items():
            if len({item.version for item in items}) < 2:
                continue
            first = items[0]
            here = [item for item in items if item.folder == first.folder]
            overrides = name in self._imports and origins.get(str(first.folder)) in OVERRIDING
            if len({item.version for item in here}) > 1 or overrides:
                row = self._of(first)
                row |= {
                    "kind": "duplicate",
                    "versions": [item.version for item in items],
                    "locations": [str(item.metadata) for item in items],
                }
                rows.append(row)
        return rows

    def _leftovers(self) -> list[DistributionTrouble]:
        """pip renames what it removes to `~ame`; an interrupted removal leaves that behind."""
        by_stem: dict[tuple[Path, str], list[str]] = {}
        for path in self._distributions.leftovers:
            stem = path.name.lstrip("~").partition("-")[0].partition(".")[0]
            by_stem.setdefault((path.parent, stem), []).append(path.name)
        return [
            {
                "kind": "leftover",
                "name": stem,
                "location": str(folder),
                "files": names,
                # pip replaces the first character or two, so that no import can meet the folder by its old name.
                "imports": [name for name in self._modules if stem in (name[1:], name[2:]) and len(stem) > 1],
            }
            for (folder, stem), names in by_stem.items()
        ]

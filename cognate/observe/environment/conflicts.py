"""Versions that do not go together: requirements, the project's own pins, Python itself, and known pairs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cognate.observe.environment.distributions import Distributions, Installed, normal
from cognate.observe.environment.interpreter import Interpreter
from cognate.observe.environment.versions import Requirement, key, requirement, satisfies

if TYPE_CHECKING:
    from cognate.case.schema import DistributionTrouble

REQUIREMENT_FILES = (
    "requirements.txt",
    "requirements.in",
    "requirements/base.txt",
    "requirements/train.txt",
    "requirements-train.txt",
)
# First release of each package whose wheels load under NumPy 2 (the release notes of each).
NUMPY_2 = {
    "torch": "2.3", "pandas": "2.2.2", "scipy": "1.13", "scikit-learn": "1.4.2", "matplotlib": "3.8.4", "pyarrow": "15.0",
    "numba": "0.60", "h5py": "3.11", "opencv-python": "4.10.0.84", "opencv-python-headless": "4.10.0.84", "sentencepiece": "0.1",
    "faiss-cpu": "1.8.0.post1", "scikit-image": "0.23", "shapely": "2.0.4", "tensorflow": "2.18", "onnxruntime": "1.18",
    "pycocotools": "2.0.8", "thinc": "8.3", "spacy": "3.8", "statsmodels": "0.14.2", "pywavelets": "1.6", "tables": "3.10",
}  # fmt: skip
# (package, its versions, other package, other's versions, what goes wrong)
KNOWN = (
    ("datasets", "<2.15", "pyarrow", ">=21", "pyarrow 21 removed PyExtensionType, which this datasets still uses"),
    (
        "tensorboard",
        "<2.12",
        "protobuf",
        ">=4",
        "its generated files cannot be used with protobuf 4 (Descriptors cannot be created)",
    ),
    ("pytorch-lightning", "<1.6", "torchmetrics", ">=1", "it imports names that torchmetrics 1 no longer has"),
    ("transformers", "<4.40", "numpy", ">=2.4", "it uses NumPy names that have been removed"),
)


class Conflicts:
    """Looks from the distributions that the first-party code imports, `used`, along their requirements."""

    def __init__(
        self, distributions: Distributions, used: Mapping[str, Installed], interpreter: Interpreter, project: Path, folder: Path
    ) -> None:
        self._distributions = distributions
        self._used = used
        self._python = interpreter.version
        self._project = project
        self._folder = folder
        self.markers = markers(interpreter)

    def all(self) -> list[DistributionTrouble]:
        """Everything found."""
        pairs = list(self._pairs())
        told = {(normal(item["name"]), normal(item["requires"])) for item in pairs}
        rows = [row for row in self._required() if (normal(row["name"]), normal(row.get("requires", ""))) not in told]
        return [*pairs, *rows, *self._of_project()]

    def _of(self, item: Installed, kind: Any, **facts: Any) -> DistributionTrouble:
        imports = [module for module, used in self._used.items() if used == item]
        row: DistributionTrouble = {
            "kind": kind,
            "name": item.title,
            "version": item.version,
            "location": str(item.folder),
            "imports": imports,
        }
        return row | facts  # type: ignore[return-value]

    @cached_property
    def reach(self) -> list[Installed]:
        """The used distributions and everything that they require, installed here."""
        found = []
        queue = list(dict.fromkeys(self._used.values()))
        seen = set(queue)
        while queue:
            item = queue.pop(0)
            found.append(item)
            for need in item.requirements(self.markers):
                needed = self._distributions.named(need.name)
                if needed is not None and needed not in seen:
                    seen.add(needed)
                    queue.append(needed)
        return found

    def _required(self) -> Iterator[DistributionTrouble]:
        for item in self.reach:
            wanted = next(iter(item.fields("Requires-Python")), "")
            if wanted and not satisfies(self._python, wanted):
                yield self._of(item, "requires-python", requires="Python", specifier=wanted, found=self._python)
            for need in item.requirements(self.markers):
                found = self._distributions.named(need.name)
                if found is not None and need.specifier and not satisfies(found.version, need.specifier):
                    yield self._conflict(item, found, need.specifier)

    def _conflict(self, item: Installed, found: Installed, specifier: str, **facts: Any) -> DistributionTrouble:
        imports = [module for module, used in self._used.items() if used == found]
        return self._of(
            item, "conflict", requires=found.title, specifier=specifier, found=found.version, required_imports=imports, **facts
        )

    def _pairs(self) -> Iterator[DistributionTrouble]:
        reach = {normal(item.name): item for item in self.reach}
        torch = reach.get("torch")
        for name in ("torchvision", "torchaudio") if torch is not None else ():
            other = self._used.get(name)
            wanted = matching(name, torch.version) if torch is not None else None
            if torch is None or other is None or wanted is None:
                continue
            if not other.version.startswith(f"{wanted}.") and other.version != wanted:
                yield self._conflict(other, torch, "", pair=f"{wanted}.*")
            elif build(torch.version) and build(other.version) and build(torch.version) != build(other.version):
                yield self._conflict(other, torch, "", pair=f"{other.version.partition('+')[0]}+{build(torch.version)}")
        numpy = reach.get("numpy") or self._distributions.named("numpy")
        if numpy is not None and satisfies(numpy.version, ">=2"):
            for name, item in reach.items():
                if name in NUMPY_2 and not satisfies(item.version, f">={NUMPY_2[name]}"):
                    yield self._conflict(item, numpy, "<2", abi=NUMPY_2[name])
                elif any(normal(need.name) == "numpy" and _excludes_2(need) for need in item.requirements(self.markers)):
                    yield self._conflict(item, numpy, "<2", abi="")
        for name, versions, other_name, others, words in KNOWN:
            first, second = reach.get(name), reach.get(other_name)
            if first and second and satisfies(first.version, versions) and satisfies(second.version, others):
                yield self._conflict(first, second, "", known=words)

    def _of_project(self) -> Iterator[DistributionTrouble]:
        wanted, lines = self._declared()
        if wanted and not satisfies(self._python, wanted):
            yield {
                "kind": "project-python",
                "name": self._project.name,
                "location": str(self._project / "pyproject.toml"),
                "requires": "Python",
                "specifier": wanted,
                "found": self._python,
            }
        used = {normal(item.name): item for item in self._used.values()}
        for need, file in lines:
            item = used.get(normal(need.name))
            if item is None or not _holds(need, self.markers):
                continue
            if need.specifier and not satisfies(item.version, need.specifier):
                yield self._of(
                    item, "project-requirement", requires=need.name, specifier=need.specifier, found=item.version, file=file
                )
            for extra in need.extras:
                absent = [
                    more.name for more in item.requirements(self.markers, extra) if not self._distributions.named(more.name)
                ]
                if absent:
                    yield self._of(item, "extra-missing", extra=extra, requires=absent[0], files=absent, file=file)

    def _declared(self) -> tuple[str, list[tuple[Requirement, str]]]:
        """Return (requires-python, requirements with the file that states them) of the project."""
        found: list[tuple[Requirement, str]] = []
        python = ""
        text = _text(self._project / "pyproject.toml")
        match = re.search(r"^requires-python\s*=\s*[\"']([^\"']+)", text, re.MULTILINE)
        python = match[1] if match else ""
        block = re.search(r"^dependencies\s*=\s*\[(.*?)^\s*\]|^dependencies\s*=\s*\[(.*)\]\s*$", text, re.MULTILINE | re.DOTALL)
        if block:
            for quoted in re.findall(r"\"([^\"]+)\"|'([^']+)'", block[1] or block[2] or ""):
                need = requirement(quoted[0] or quoted[1])
                found += [(need, str(self._project / "pyproject.toml"))] if need else []
        for name in REQUIREMENT_FILES:
            for folder in dict.fromkeys((self._folder, self._project)):
                for line in _text(folder / name).splitlines():
                    need = requirement(line)
                    found += [(need, str(folder / name))] if need else []
        return python, found


def _excludes_2(need: Requirement) -> bool:
    return not satisfies("2.0.0", need.specifier) and not satisfies("2.99", need.specifier) and "<" in need.specifier


def _holds(need: Requirement, values: Mapping[str, str]) -> bool:
    from cognate.observe.environment.versions import applies

    return applies(need.marker, {**values, "extra": ""})


def _text(file: Path) -> str:
    try:
        return file.read_bytes()[:500_000].decode("utf-8", "replace")
    except OSError:
        return ""


def markers(interpreter: Interpreter) -> dict[str, str]:
    """The marker values of PEP 508 for an interpreter."""
    system = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}.get(interpreter.platform, "")
    return {
        "python_version": ".".join(map(str, interpreter.version_info[:2])),
        "python_full_version": interpreter.version,
        "sys_platform": interpreter.platform,
        "platform_system": system,
        "os_name": "nt" if interpreter.platform == "win32" else "posix",
        "platform_machine": interpreter.machine,
        "implementation_name": interpreter.implementation,
        "platform_python_implementation": "CPython" if interpreter.implementation == "cpython" else "PyPy",
    }


def matching(name: str, torch: str) -> str | None:
    """MAJOR.MINOR of torchvision or torchaudio for a torch version (the compatibility tables of pytorch/vision and /audio)."""
    parsed = key(torch)
    if parsed is None or len(parsed[0]) < 1:
        return None
    major, minor = (*parsed[0], 0)[:2]
    if name == "torchaudio":
        return f"{major}.{minor}" if major == 2 else (f"0.{minor}" if minor >= 8 else None)
    return f"0.{minor + 15}" if major == 2 else (f"0.{minor + 1}" if minor >= 8 else None)


def build(version: str) -> str:
    """The local part of a version, such as cu121."""
    return version.partition("+")[2]

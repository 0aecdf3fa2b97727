"""What is installed, from folder listings and metadata files alone; what is broken about it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cognate.observe.environment.versions import Requirement, applies, requirement

METADATA_LIMIT = 5_000_000
TOP = re.compile(r'^"?([^/,"\n]+)(?=[/,])', re.MULTILINE)
MANY_FILES = 600  # from here on only the upper folders of a distribution are compared with RECORD
EXTRA_ONLY = re.compile(r";\s*\(?extra\s*==|\band\s+extra\s*==")
TESTS = re.compile(r"(^|/)(tests?|testing|examples?)/")
# Import names that no rule of spelling leads to the distribution's name.
DISTRIBUTION_OF = {
    "Crypto": "pycryptodome", "IPython": "ipython", "MySQLdb": "mysqlclient", "OpenSSL": "pyOpenSSL", "PIL": "pillow",
    "attr": "attrs", "bs4": "beautifulsoup4", "cv2": "opencv-python", "dateutil": "python-dateutil",
    "dotenv": "python-dotenv", "faiss": "faiss-cpu", "fitz": "PyMuPDF", "git": "GitPython", "hydra": "hydra-core",
    "ignite": "pytorch-ignite", "jwt": "PyJWT", "pkg_resources": "setuptools", "flash_attn": "flash-attn",
    "pl_bolts": "lightning-bolts", "psycopg2": "psycopg2-binary",
    "rouge": "rouge-score", "serial": "pyserial", "skimage": "scikit-image", "sklearn": "scikit-learn",
    "tensorboardX": "tensorboardX", "umap": "umap-learn", "usb": "pyusb", "wx": "wxPython", "yaml": "PyYAML",
    "zmq": "pyzmq",
}  # fmt: skip


def normal(name: str) -> str:
    """The distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distribution_name(module: str) -> str:
    """What to install for `import module`, where nothing better is known than the usual spelling."""
    return DISTRIBUTION_OF.get(module, module.replace("_", "-"))


@dataclass(frozen=True)
class Installed:
    """One metadata folder."""

    name: str
    version: str
    folder: Path  # the site folder that holds it
    metadata: Path

    _read: dict[str, bytes] = field(default_factory=dict, compare=False, repr=False)
    _known: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def data(self, file: str) -> bytes:
        """The metadata file `file`, empty where there is none; read once."""
        if file not in self._read:
            try:
                self._read[file] = (self.metadata / file).read_bytes()[:METADATA_LIMIT]
            except OSError:
                self._read[file] = b""
        return self._read[file]

    def text(self, file: str) -> str:
        """As `data`, decoded."""
        return self.data(file).decode("utf-8", "replace")

    def fields(self, name: str) -> list[str]:
        """The values of the METADATA (or PKG-INFO) header `name`."""
        head = (self.text("METADATA") or self.text("PKG-INFO")).partition("\n\n")[0]
        return [line.partition(":")[2].strip() for line in head.splitlines() if line.startswith(f"{name}:")]

    def fields_of(self, file: str, name: str) -> list[str]:
        """The values of the header `name` in another metadata file, such as WHEEL."""
        lines = (line.partition(":") for line in self.text(file).splitlines())
        return [value.strip() for key, _, value in lines if key == name]

    @property
    def title(self) -> str:
        """The name as its makers spell it."""
        return next(iter(self.fields("Name")), self.name)

    @property
    def editable(self) -> str | None:
        """The source folder of an editable install."""
        try:
            direct = json.loads(self.text("direct_url.json") or "{}")
        except ValueError:
            return None
        if isinstance(direct, dict) and direct.get("dir_info", {}).get("editable"):
            return str(direct.get("url", "")).removeprefix("file://")
        return None

    @property
    def source(self) -> str | None:
        """The local folder that it was installed from, editable or not."""
        try:
            direct = json.loads(self.text("direct_url.json") or "{}")
        except ValueError:
            return None
        url = str(direct.get("url", "")) if isinstance(direct, dict) else ""
        return url.removeprefix("file://") if url.startswith("file://") else None

    def record(self) -> list[str]:
        """Module and library files in RECORD, relative to `folder`."""
        return [path for path, _ in self.sizes()]

    def sizes(self) -> list[tuple[str, str]]:
        """(path, size in bytes as it stands there) of the module and library files in RECORD."""
        if "sizes" not in self._known:
            self._known["sizes"] = list(_module_files(self.text("RECORD")))
        found: list[tuple[str, str]] = self._known["sizes"]
        return found

    def modules(self) -> set[str]:
        """Top-level modules that it installs, by top_level.txt or else by RECORD."""
        if "modules" not in self._known:
            self._known["modules"] = self._top_level()
        known: set[str] = self._known["modules"]
        return known

    def _top_level(self) -> set[str]:
        listed = {line.strip() for line in self.text("top_level.txt").splitlines() if line.strip()}
        if listed:
            return listed
        tops = set(TOP.findall(self.text("RECORD")))
        return {top.partition(".")[0] for top in tops if not top.endswith((".dist-info", ".egg-info", ".data"))} - {""}

    def requirements(self, markers: Mapping[str, str], extra: str = "") -> list[Requirement]:
        """What it needs on an interpreter with these marker values; with `extra`, only what that extra adds."""
        if extra:
            read = [found for line in self.fields("Requires-Dist") if (found := requirement(line))]
            plain = self.requirements(markers)
            return [item for item in read if item not in plain and applies(item.marker, {**markers, "extra": extra})]
        if "requirements" not in self._known:
            # Most lines belong to extras: they are told apart before anything is parsed.
            lines = [line for line in self.fields("Requires-Dist") if not EXTRA_ONLY.search(line)]
            read = [found for line in lines if (found := requirement(line))]
            self._known["requirements"] = [item for item in read if applies(item.marker, {**markers, "extra": ""})]
        known: list[Requirement] = self._known["requirements"]
        return known


def _module_files(record: str) -> Iterator[tuple[str, str]]:
    """The modules and libraries among the lines PATH,HASH,SIZE, of which a large wheel has ten thousands."""
    for line in record.splitlines():
        path, _, rest = line[1:].partition('",') if line.startswith('"') else line.partition(",")
        if path.endswith((".py", ".so", ".pyd")) or (".so." in path and path[-1].isdigit()):
            yield path, rest.rpartition(",")[2]


class Distributions:
    """Everything installed in the folders of a path, in their order."""

    def __init__(self, folders: Iterable[str]) -> None:
        self.all: list[Installed] = []
        self.leftovers: list[Path] = []
        for folder in dict.fromkeys(folders):
            try:
                names = sorted(os.listdir(folder))
            except OSError:
                continue
            for name in names:
                if name.startswith("~"):
                    self.leftovers.append(Path(folder, name))
                elif name.endswith((".dist-info", ".egg-info")):
                    self._add(Path(folder), name)
        self.by_name: dict[str, list[Installed]] = {}
        for item in self.all:
            self.by_name.setdefault(normal(item.name), []).append(item)

    def _add(self, folder: Path, name: str) -> None:
        stem, _, kind = name.rpartition(".")
        label, _, version = stem.partition("-")
        if kind == "egg-info":
            version = re.sub(r"-py\d.*$", "", version)
        if label and version:
            self.all.append(Installed(label, version, folder, folder / name))

    def named(self, name: str) -> Installed | None:
        """The first installation of the distribution `name`."""
        return next(iter(self.by_name.get(normal(name), [])), None)

    def providing(self, module: str, folder: str | None = None) -> Installed | None:
        """The distribution that installs the top-level module `module` (in `folder`, where one is given)."""
        likely = self.by_name.get(normal(distribution_name(module)), []) + self.by_name.get(normal(module), [])
        here = [item for item in self.all if folder is None or str(item.folder) == folder]
        for item in likely:
            if item in here and (
                module in item.modules() or item.editable or not (item.text("RECORD") or item.text("top_level.txt"))
            ):
                return item
        needle = module.encode()
        for item in here:
            if item not in likely and _mentions(item, needle) and module in item.modules():
                return item
        return None


def _mentions(item: Installed, needle: bytes) -> bool:
    return any(item.data(file).startswith(needle) or b"\n" + needle in item.data(file) for file in ("top_level.txt", "RECORD"))


def missing_files(item: Installed) -> tuple[list[str], int]:
    """Return (module files of RECORD that are not there, tests left aside; the number of module files it lists)."""
    record = item.record()
    if len(record) > MANY_FILES:
        record = [path for path in record if path.count("/") <= 2]
    listed = [
        path
        for path in record
        if path.endswith((".py", ".so", ".pyd")) and not path.startswith((".", "/")) and not TESTS.search(path)
    ]
    folders: dict[str, frozenset[str]] = {}
    gone = []
    for path in listed:
        head, _, name = path.rpartition("/")
        if head not in folders:
            try:
                folders[head] = frozenset(os.listdir(item.folder / head))
            except OSError:
                folders[head] = frozenset()
        if name not in folders[head]:
            gone.append(path)
    return gone, len(listed)

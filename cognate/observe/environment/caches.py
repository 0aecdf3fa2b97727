"""The caches and folders that variables name: where the hub's files lie, whether they are there, whether one can write."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cognate.observe.environment.encodings import expanded
from cognate.observe.environment.uses import Uses

TRUE = frozenset({"1", "ON", "YES", "TRUE"})
OFFLINE = {
    "HF_HUB_OFFLINE": ("dataset", "model", "repository", "file"),
    "TRANSFORMERS_OFFLINE": ("model",),
    "HF_DATASETS_OFFLINE": ("dataset",),
}
# Dataset builders that ship with the library: they load local files and ask no hub.
PACKAGED = frozenset(
    {
        "csv",
        "json",
        "text",
        "parquet",
        "arrow",
        "pandas",
        "xml",
        "webdataset",
        "imagefolder",
        "audiofolder",
        "videofolder",
        "generator",
    }
)
HUB_USERS = frozenset(
    {"datasets", "transformers", "huggingface_hub", "diffusers", "tokenizers", "evaluate", "sentence_transformers", "accelerate"}
)
# Variable -> modules that write below it.
FOLDERS = {
    "HF_HOME": HUB_USERS, "HF_HUB_CACHE": HUB_USERS, "HUGGINGFACE_HUB_CACHE": HUB_USERS,
    "HF_DATASETS_CACHE": frozenset({"datasets"}),
    "TRANSFORMERS_CACHE": frozenset({"transformers"}), "TORCH_HOME": frozenset({"torch", "torchvision", "torchaudio"}),
    "XDG_CACHE_HOME": HUB_USERS | {"torch", "torchvision", "matplotlib"}, "TRITON_CACHE_DIR": frozenset({"torch", "triton"}),
    "TORCHINDUCTOR_CACHE_DIR": frozenset({"torch"}), "TORCH_EXTENSIONS_DIR": frozenset({"torch"}),
    "WANDB_DIR": frozenset({"wandb"}),
    "MPLCONFIGDIR": frozenset({"matplotlib"}), "NUMBA_CACHE_DIR": frozenset({"numba"}), "TMPDIR": frozenset(),
}  # fmt: skip


class Caches:
    """The rows about caches of one command; `modules` are the top-level modules that its code imports."""

    def __init__(self, cwd: Path, environ: Mapping[str, str], asked: Uses, modules: frozenset[str]) -> None:
        own = {
            name: item["value"]
            for name, item in asked.sets.items()
            if item["value"] is not None and not (item["weak"] and name in environ)
        }
        gone = {name for name, item in asked.sets.items() if item["removed"]}
        self._environ = {name: value for name, value in {**environ, **own}.items() if name not in gone}
        self._own = asked.sets
        self._cwd, self._uses, self._modules = cwd, asked, modules

    def all(self) -> Iterator[dict[str, Any]]:
        """Everything found."""
        yield from self._offline()
        yield from self._unusable()

    def _offline(self) -> Iterator[dict[str, Any]]:
        for use in self._uses.hub:
            variable = next(
                (name for name, kinds in OFFLINE.items() if use["what"] in kinds and self._environ.get(name, "").upper() in TRUE),
                None,
            )
            if not variable and not use["local"]:
                continue
            if not self._modules & HUB_USERS or use["name"] in PACKAGED or self._is_local(use["name"]):
                continue
            home = self._home()
            if any(self._holds(folder, use) for folder in self._places(home)):
                continue
            default = self._default_home()
            other = next((str(folder) for folder in self._places_of(default) if self._holds(folder, use)), "")
            yield {
                "kind": "offline-uncached",
                **use,
                "variable": variable or "local_files_only=True",
                "looked": str(self._places(home)[0]),
                "elsewhere": other,
                "decided": self._decider(),
                "set_at": self._own.get(variable or "", {}).get("line"),
            }

    def _is_local(self, name: str) -> bool:
        return name.startswith((".", "/", "~")) or (self._cwd / name).exists()

    def _default_home(self) -> Path:
        base = self._environ.get("XDG_CACHE_HOME") or expanded("~/.cache", self._environ)
        return Path(base, "huggingface")

    def _home(self) -> Path:
        return (
            Path(self._cwd, expanded(self._environ.get("HF_HOME", ""), self._environ))
            if self._environ.get("HF_HOME")
            else self._default_home()
        )

    def _decider(self) -> str:
        names = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_DATASETS_CACHE", "TRANSFORMERS_CACHE", "HF_HOME", "XDG_CACHE_HOME")
        return next((f"{name}={self._environ[name]}" for name in names if self._environ.get(name)), "")

    def _places_of(self, home: Path) -> list[Path]:
        return [home / "hub", home / "datasets", home / "transformers"]

    def _places(self, home: Path) -> list[Path]:
        named = [
            self._environ.get(name)
            for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE", "HF_DATASETS_CACHE")
        ]
        return [*(Path(self._cwd, expanded(value, self._environ)) for value in named if value), *self._places_of(home)]

    @staticmethod
    def _holds(folder: Path, use: dict[str, Any]) -> bool:
        flat = use["name"].replace("/", "--")
        kinds = ("models", "datasets") if use["what"] in ("repository", "file") else (f"{use['what']}s",)
        for kind in kinds:
            for snapshot in folder.glob(f"{kind}--{flat}/snapshots/*/*"):
                if snapshot.exists():  # a link to a blob that was deleted is none
                    return True
        built = folder / use["name"].replace("/", "___")
        return use["what"] == "dataset" and built.is_dir() and any(built.iterdir())

    def _unusable(self) -> Iterator[dict[str, Any]]:
        for variable, users in FOLDERS.items():
            value = self._environ.get(variable)
            if not value or (users and not users & self._modules):
                continue
            folder = Path(self._cwd, expanded(value, self._environ))
            problem = unusable(folder)
            if variable == "TMPDIR" and problem is None and not folder.is_dir():
                problem = ("missing", "it does not exist, and Python falls back to another folder")
            if problem:
                yield {
                    "kind": "cache-unusable",
                    "variable": variable,
                    "value": value,
                    "problem": problem[0],
                    "text": problem[1],
                    "users": sorted(users & self._modules),
                    "set_at": self._own.get(variable, {}).get("line"),
                }
        if self._modules & HUB_USERS and not any(self._environ.get(name) for name in ("HF_HOME", "XDG_CACHE_HOME")):
            problem = unusable(self._default_home())
            if problem:
                yield {
                    "kind": "cache-unusable",
                    "variable": "HOME",
                    "value": self._environ.get("HOME", ""),
                    "problem": problem[0],
                    "text": f"{self._default_home()}: {problem[1]}",
                    "users": sorted(HUB_USERS & self._modules),
                    "set_at": None,
                }


def unusable(folder: Path) -> tuple[str, str] | None:
    """Why nothing can be written below `folder`, existing or not: (kind, words); None where one can."""
    place = folder
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if place.is_symlink() and not place.exists():
        return "dangling", f"{place} is a link to {os.readlink(place)}, which does not exist"
    if not place.is_dir():
        return "file", f"{place} is a file, not a folder"
    if str(place).startswith(("/proc", "/sys")):
        return "unwritable", f"nothing can be made in {place}"
    try:
        if os.statvfs(place).f_flag & os.ST_RDONLY:
            return "unwritable", f"{place} is on a file system that is mounted read-only"
        mode = place.stat().st_mode
    except (OSError, AttributeError):
        return None
    if not os.access(place, os.W_OK | os.X_OK):
        return "unwritable", f"you may not write into {place}"
    return ("unwritable", f"the permissions of {place} let nobody write") if not mode & 0o222 else None

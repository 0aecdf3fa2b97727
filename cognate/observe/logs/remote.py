"""Logs that lie elsewhere (`s3://`, `gs://`, `hf://`, …): fetched by fsspec into a temporary folder, within bounds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from cognate.errors import CaseError, UsageError

LARGEST, MOST_FILES = 2 << 30, 5_000
# Weights and data lie beside logs, and are never read.
_PASSED_OVER = {
    *(".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".gguf", ".h5", ".npz", ".npy", ".parquet", ".arrow"),
    *(".tar", ".gz", ".png", ".jpg", ".jpeg", ".gif", ".mp4", ".wav", ".model", ".pkl", ".msgpack"),
}
_BLOCK = 1 << 20


@contextmanager
def fetched(url: str) -> Iterator[Path]:
    """A local copy of the file or folder at `url`, removed at the end. Raises UsageError or CaseError in one sentence."""
    with tempfile.TemporaryDirectory(prefix="cognate-") as temporary:
        yield _copied(url, Path(temporary))


def _copied(url: str, folder: Path) -> Path:
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise UsageError(f"{url} is not on this machine: `pip install 'cognate-ml[remote]'` reads other file systems.") from error
    try:
        system, path = url_to_fs(url)
        single = system.isfile(path)
        files = {PurePosixPath(path).name: (path, int(system.size(path) or 0))} if single else _listed(system, path)
        if not files:
            raise CaseError(f"There is nothing at {url} that could be a log: check the address.")
        size = sum(size for _, size in files.values())
        if size > LARGEST or len(files) > MOST_FILES:
            limit = f"{MOST_FILES:,} files of {LARGEST / 1e9:.1f} GB"
            raise CaseError(f"{url} is {len(files):,} files of {size / 1e9:.1f} GB, more than {limit}: name a run inside it.")
        for name, (source, _) in files.items():
            _fetch(system, source, folder / name)
    except ImportError as error:
        # fsspec's own sentence names the package that knows this protocol.
        raise UsageError(f"{url} needs another package: {_short(error)}") from error
    except CaseError:
        raise
    except ValueError as error:
        raise UsageError(f"{url} is no address that fsspec knows: {_short(error)}") from error
    except Exception as error:  # each file system raises the errors of its own client
        raise CaseError(f"{url} cannot be read ({_short(error)}): check the address and your access to it.") from error
    return folder / next(iter(files)) if single else folder


def _listed(system: Any, path: str) -> dict[str, tuple[str, int]]:
    """Files below `path` that may be logs: name inside it, where it is, its size."""
    root = str(path).rstrip("/")
    files = {}
    for where, facts in system.find(root, detail=True).items():
        inside = PurePosixPath(where[len(root) :].lstrip("/"))
        # A name is somebody else's: it must not lead out of the folder.
        if ".." in inside.parts or inside.is_absolute() or not inside.parts or inside.suffix.lower() in _PASSED_OVER:
            continue
        files[str(inside)] = (where, int(facts.get("size") or 0))
        if len(files) > MOST_FILES:
            break
    return files


def _fetch(system: Any, source: str, target: Path) -> None:
    """Copy one file, and no more of it than its listing may promise in all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    room = LARGEST
    with system.open(source, "rb") as stream, target.open("wb") as file:
        while block := stream.read(_BLOCK):
            room -= len(block)
            if room < 0:
                raise CaseError(f"{source} is larger than {LARGEST / 1e9:.1f} GB: name a smaller run.")
            file.write(block)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__

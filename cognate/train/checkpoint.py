"""Checkpoints: whole or not there, and never code.

    RUN/checkpoints/
      step-000100/
        model.safetensors       tensors of the model; tied ones once, their other names in state.json
        optimizer.safetensors   state of the optimizers, as optimizer/parameter/key
        state.json              step, random states, early stopping, options…; size and SHA-256 of each file, and its own
        …                       what the caller adds: the model's configuration, the tokenizer
      last.json, best.json      {"checkpoint": "step-000100", "step": 100}

A checkpoint is written into a hidden folder beside its place, synced to the disk and renamed, so a process or a machine that dies
while saving leaves the older ones as they were. Reading parses JSON and safetensors; nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cognate.errors import CognateError
from cognate.train import tensors
from cognate.train.tensors import Optimizers

FOLDER = "checkpoints"
MODEL, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"
NAME = re.compile(r"step-(\d{6,})")
TEMPORARY = ".saving-"


class CheckpointError(CognateError):
    """A checkpoint cannot be written, is damaged, or does not fit the model."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files are all as they were written."""

    folder: Path
    step: int
    state: dict[str, Any]
    tied: dict[str, str]

    def read(self, name: str) -> bytes:
        """The bytes of a file that the caller of `save` added."""
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise CheckpointError(
                f"{self.folder / name} cannot be read ({error.strerror}): choose another checkpoint."
            ) from error

    def into(self, model: nn.Module, optimizers: Optimizers | None = None) -> None:
        """Copy the weights into `model`, and the optimizers' state where they are given. Raises CheckpointError."""
        file = MODEL
        try:
            tensors.into_model(model, self._tensors(MODEL), self.tied)
            if optimizers is not None:
                file = OPTIMIZER
                tensors.into_optimizers(model, optimizers, self._tensors(OPTIMIZER))
        except ValueError as error:
            raise CheckpointError(
                f"{self.folder / file} does not fit the model, {error}: build the model with the configuration it was saved with."
            ) from error

    def _tensors(self, name: str) -> dict[str, Tensor]:
        try:
            return load_file(self.folder / name)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{self.folder / name} is no safetensors file: choose another checkpoint.") from error


def save(
    run: Path,
    step: int,
    model: nn.Module,
    optimizers: Optimizers,
    state: Mapping[str, Any],
    files: Mapping[str, bytes] | None = None,
    best: bool = False,
) -> Path:
    """Write the checkpoint of `step` and make it the last one, and the `best` one; a folder of the same step is replaced.

    `state` is JSON-able, `files` are added by name. Raises CheckpointError where the disk does not take it: nothing is left of
    the attempt then, and the checkpoints before it are intact.
    """
    place = run / FOLDER / f"step-{step:06d}"
    temporary = place.with_name(f"{TEMPORARY}{place.name}")
    weights, tied = tensors.of_model(model)
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        save_file(weights, temporary / MODEL)
        save_file(tensors.of_optimizers(model, optimizers), temporary / OPTIMIZER)
        for name, content in (files or {}).items():
            (temporary / name).write_bytes(content)
        listed = {file.name: _facts(file) for file in sorted(temporary.iterdir())}
        document = {"step": step, "tied": tied, "state": dict(state), "files": listed}
        (temporary / STATE).write_text(json.dumps({**document, "sha256": _digest(document)}), encoding="utf-8")
        for path in (*temporary.iterdir(), temporary):
            _sync(path)
        if place.exists():
            shutil.rmtree(place)
        temporary.rename(place)
        for name in ("last", "best") if best else ("last",):
            _point(place, name)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        reason = getattr(error, "strerror", None) or str(error).rpartition("I/O error: ")[2]
        raise CheckpointError(
            f"The checkpoint of step {step} could not be saved in {run / FOLDER} ({reason}): "
            f"{_way_back(run / FOLDER, 'make room and')}."
        ) from error
    return place


def load(folder: Path) -> Checkpoint:
    """The checkpoint in `folder`, every file compared with its checksum. Raises CheckpointError that names what is damaged."""
    try:
        return _read(folder)
    except _Damage as damage:
        raise CheckpointError(f"{damage}: {_way_back(folder.parent, excluded=folder)}.") from damage


def latest(run: Path) -> Path:
    """The newest checkpoint's folder in `run`; `run` itself where it is a checkpoint. Raises CheckpointError where none is."""
    if (run / STATE).is_file():
        return run
    pointed = pointed_at(run, "last")
    if pointed is not None:
        return pointed
    found = _folders(run / FOLDER)
    if not found:
        raise CheckpointError(
            f"There is no checkpoint in {run}: name the folder of a run that has saved one, or start without --resume."
        )
    return found[-1]


def pointed_at(run: Path, name: str) -> Path | None:
    """The folder that the pointer `name` leads to; None where there is no such pointer or no such folder."""
    try:
        target = json.loads((run / FOLDER / f"{name}.json").read_bytes())["checkpoint"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    folder = run / FOLDER / str(target)
    return folder if NAME.fullmatch(str(target)) and folder.is_dir() else None


def prune(run: Path, step: int, keep: int) -> None:
    """Remove all but the last `keep` checkpoints up to `step`, and the best.

    Later ones belong to a course of the run that was given up when it was resumed from before them.
    """
    folders = _folders(run / FOLDER)
    kept = [folder for folder in folders if _step(folder) <= step][-keep:]
    for folder in folders:
        if folder not in kept and folder != pointed_at(run, "best"):
            shutil.rmtree(folder, ignore_errors=True)


def begin(run: Path, best_step: int | None) -> None:
    """Clear away what a killed process left half-written, and a best checkpoint that the run does not know (any more)."""
    for left in (run / FOLDER).glob(f"{TEMPORARY}*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
    best = pointed_at(run, "best")
    if best is not None and _step(best) != best_step:
        (run / FOLDER / "best.json").unlink(missing_ok=True)


def _point(folder: Path, name: str) -> None:
    file = folder.with_name(f"{name}.json")
    temporary = file.with_name(f"{TEMPORARY}{file.name}")
    temporary.write_text(json.dumps({"checkpoint": folder.name, "step": _step(folder)}), encoding="utf-8")
    _sync(temporary)
    temporary.replace(file)
    _sync(file.parent)


class _Damage(Exception):
    """What is wrong with which file."""


def _read(folder: Path) -> Checkpoint:
    try:
        document = json.loads((folder / STATE).read_bytes())
        digest = document.pop("sha256")
        files = dict(document["files"])
        found = Checkpoint(folder, int(document["step"]), dict(document["state"]), dict(document["tied"]))
    except FileNotFoundError as error:
        raise _Damage(f"{folder} is no checkpoint, it holds no {STATE}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _Damage(f"{folder / STATE} cannot be read") from error
    if digest != _digest(document):
        raise _Damage(f"{folder / STATE} differs from its checksum")
    for name, facts in files.items():
        try:
            same = _facts(folder / name) == facts
        except OSError as error:
            raise _Damage(f"{folder / name} cannot be read ({error.strerror})") from error
        if not same:
            raise _Damage(f"{folder / name} differs from its checksum")
    return found


def _folders(parent: Path) -> list[Path]:
    return sorted((entry for entry in parent.glob("step-*") if NAME.fullmatch(entry.name)), key=_step)


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def _facts(file: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return {"bytes": file.stat().st_size, "sha256": digest.hexdigest()}


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _way_back(parent: Path, first: str = "", excluded: Path | None = None) -> str:
    """What to do next: the newest intact checkpoint in `parent`, other than `excluded`, and how to resume from it."""
    for folder in reversed(_folders(parent)):
        if folder == excluded:
            continue
        try:
            _read(folder)
        except _Damage:
            continue
        return f"{first} go on from {folder.name}, the newest that is intact, with --resume {folder}".strip()
    return f"{first} start again, because no checkpoint in {parent} is intact".strip()

"""Hugging Face `trainer_state.json`: a file, a checkpoint folder, or an output folder with several checkpoints.

The trap in this format: with `logging_nan_inf_filter` (on by default) the Trainer leaves NaN steps out of the mean, so
a run whose every step is NaN logs a loss of exactly 0.0. The gradient norm beside it still says NaN.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cognate.errors import CaseError
from cognate.observe.logs.run import ForeignRun, number, put, put_user

FORMAT = "Hugging Face trainer_state.json"
NAME = "trainer_state.json"
# Roles of the log's columns; every other number keeps its own name.
_ROLES = {"loss": "loss", "eval_loss": "val_loss", "learning_rate": "lr", "grad_norm": "grad_norm", "epoch": "epoch"}
# Means over the whole run and speeds, written once at the end: no points of a curve.
_SUMMARY = ("train_loss", "train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos")
# A log of a year at one row a second stays below this; anything larger is not this file.
_LARGEST = 512 * 1024 * 1024


def find(path: Path) -> Path | None:
    """The state file that `path` is or holds, the one furthest in training where there are several."""
    if path.is_file():
        return path if _looks_right(path) else None
    if not path.is_dir():
        return None
    found = [file for pattern in (NAME, f"checkpoint-*/{NAME}") for file in path.glob(pattern) if _looks_right(file)]
    return max(found, key=lambda file: (_reached(file), file.parent == path, str(file)), default=None)


def read(file: Path) -> ForeignRun:
    """Read the state in `file`. Raises CaseError where it is damaged or logs nothing."""
    state = _load(file)
    history = state.get("log_history")
    if not isinstance(history, list) or not any(isinstance(entry, dict) for entry in history):
        raise CaseError(f"{file} logs no step of training (log_history is empty): give a later checkpoint of the run.")
    rows, columns, errors = _rows(history)
    if not rows:
        raise CaseError(f"{file} holds no number in its log_history: give a later checkpoint of the run.")
    reached, planned = (_whole(state.get(key)) for key in ("global_step", "max_steps"))
    return ForeignRun(
        origin="huggingface trainer_state",
        title=_title(file),
        rows=rows,
        columns=columns,
        steps=reached,
        finished=planned > 0 and reached >= planned,
        errors=errors,
        facts=_facts(state, reached, planned),
    )


def _looks_right(file: Path) -> bool:
    try:
        if file.stat().st_size > _LARGEST:
            return False
        with file.open("rb") as stream:
            start = stream.read(1 << 16)
        if not start.lstrip().startswith(b"{") or b"\0" in start:
            return False
        return file.name == NAME or b'"log_history"' in file.read_bytes()
    except OSError:
        return False


def _load(file: Path) -> dict[str, Any]:
    try:
        state = json.loads(file.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError, RecursionError) as error:
        raise CaseError(f"{file} cannot be read as JSON ({error}); copy it again, it may be cut off.") from error
    if not isinstance(state, dict):
        raise CaseError(f"{file} does not hold the state of a Trainer; give the trainer_state.json of a run.")
    return state


def _reached(file: Path) -> int:
    try:
        return _whole(_load(file).get("global_step"))
    except CaseError:
        return -1


def _whole(value: Any) -> int:
    finite, _ = number(value)
    return 0 if finite is None else int(finite)


def _title(file: Path) -> str:
    folder = file.resolve().parent
    run = folder.parent if folder.name.startswith("checkpoint-") else folder
    return run.name or file.name


def _facts(state: dict[str, Any], reached: int, planned: int) -> dict[str, Any]:
    callbacks = state.get("stateful_callbacks")
    stopper = isinstance(callbacks, dict) and "EarlyStoppingCallback" in callbacks
    facts = {key: state[key] for key in ("best_metric", "best_model_checkpoint", "train_batch_size") if state.get(key)}
    return {**facts, "global_step": reached, "max_steps": planned, "stopped_early": stopper and 0 < reached < planned}


def _rows(history: list[Any]) -> tuple[list[dict[str, Any]], dict[str, str], list[str]]:
    """One row a logged step; train and eval entries of the same step are merged, a step that goes back is a restart."""
    rows: list[dict[str, Any]] = []
    columns: dict[str, str] = {}
    skipped = segment = step = 0
    for entry in history:
        if not isinstance(entry, dict):
            skipped += 1
            continue
        # predict() logs no step: it belongs to where training stood.
        here = _whole(entry["step"]) if "step" in entry else step
        if here < step:
            segment += 1
        row = _row(entry, here, segment, columns)
        step = here
        if set(row) <= {"step", "epoch", "segment"}:
            continue
        if rows and _joins(rows[-1], row):
            _merge(rows[-1], row)
        else:
            rows.append(row)
    errors = [f"{skipped} entries of log_history are no objects and were left out"] if skipped else []
    return rows, columns, errors


def _row(entry: dict[str, Any], step: int, segment: int, columns: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {"step": step}
    if segment:
        row["segment"] = segment
    for key, value in entry.items():
        if key == "step" or key in _SUMMARY:
            continue
        if key in _ROLES:
            put(row, _ROLES[key], value)
        elif not key.endswith(("_runtime", "_per_second")):
            put_user(row, key, value)
        else:
            continue
        columns[key] = _ROLES.get(key, f"user.{key}")
    return row


def _joins(row: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether both tell of the same step and neither has what the other has."""
    shared = (set(row) & set(other)) - {"step", "segment", "epoch", "user", "nonfinite"}
    user = set(row.get("user", {})) & set(other.get("user", {}))
    return row["step"] == other["step"] and row.get("segment") == other.get("segment") and not shared and not user


def _merge(row: dict[str, Any], other: dict[str, Any]) -> None:
    for key, value in other.items():
        if key in ("user", "nonfinite"):
            row.setdefault(key, {}).update(value)
        else:
            row[key] = value

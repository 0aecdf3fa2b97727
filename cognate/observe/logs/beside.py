"""What lies beside a log and says more about its run: the name of its folder, the settings that a tool saved there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

# Files of settings by the tools that write them: Lightning, Ultralytics, Ray Tune, DVCLive.
_SETTINGS = ("hparams.yaml", "args.yaml", "params.json", "params.yaml")
_LARGEST = 1 << 20
_MOST = 200
_SCALAR = re.compile(r"([A-Za-z_][\w./-]*):[ \t]+([^#\n]*?)[ \t]*(?:#.*)?")
_ARGUMENT = re.compile(r"([A-Za-z_]\w{0,60})=('[^']{0,200}'|[^,()\[\]]{1,200})(?=[,)])")
_SECRET = re.compile(r"api_?key|secret|passw|(?:auth|access|hf|hub|wandb)_?(?:token|key)", re.IGNORECASE)
_PLANS = {"max_steps": ("max_steps", "total_steps"), "max_epochs": ("epochs", "max_epochs", "num_epochs")}
# Folders that say where in a run a file lies, not which run it is.
_INNER = re.compile(r"(?:version_\d+|checkpoint-\d+|csv|logs?|output|plots|metrics|dvclive|train)\Z")


def title_of(file: Path) -> str:
    """A name for the run: its folder's, with the folder above where the first only says which version it is."""
    folder = file.resolve().parent
    if _INNER.match(folder.name) and folder.parent.name:
        return f"{folder.parent.name}/{folder.name}"
    return folder.name or file.name


def settings_beside(file: Path) -> dict[str, Any]:
    """{"hparams": …} with the plain values of the settings beside `file`, and how long the run was to be; {} without any."""
    for name in _SETTINGS:
        try:
            path = file.parent / name
            if not path.is_file() or path.stat().st_size > _LARGEST:
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        found = _json(text) if name.endswith(".json") else _yaml(text)
        if found:
            return {"hparams": dict(list(found.items())[:_MOST]), **_planned(found)}
    return {}


def settings_in(line: str) -> dict[str, Any]:
    """The same for a printed `Namespace(lr=0.1, epochs=10)`, as argparse shows its arguments."""
    pairs = _ARGUMENT.findall(line.partition("Namespace(")[2])
    found = {name: _value(text.strip()) for name, text in pairs if not _SECRET.search(name)}
    return {"hparams": dict(list(found.items())[:_MOST]), **_planned(found)} if found else {}


def _planned(found: dict[str, Any]) -> dict[str, int]:
    """The number of steps or epochs that the settings ask for."""
    plans = {}
    for unit, keys in _PLANS.items():
        told = next((found[key] for key in keys if isinstance(found.get(key), int) and found[key] > 0), None)
        if told is not None and not isinstance(told, bool):
            plans[unit] = told
    return plans


def _json(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {key: value for key, value in values.items() if _plain(value)} if isinstance(values, dict) else {}


def _yaml(text: str) -> dict[str, Any]:
    """The top-level scalars, which is all that is needed of it; nothing of YAML that could run is understood."""
    found: dict[str, Any] = {}
    for line in text.splitlines():
        match = _SCALAR.fullmatch(line)
        if match and match[2] and match[2][0] not in "&*!|>[{":
            found[match[1]] = _value(match[2])
    return found


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None if text in ("null", "~") else text.strip("'\"")[:200]


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) <= 200)

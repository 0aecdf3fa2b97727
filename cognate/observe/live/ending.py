"""How the observed process ended: versions, the exception that ended it, and how far the observation can be trusted."""

from __future__ import annotations

import platform
import sys
import traceback
from pathlib import Path
from typing import Any

from cognate.case.store import Appender, write_json
from cognate.observe.live.sites import Sites

VERSIONS = ("torch", "numpy", "transformers", "lightning", "accelerate", "datasets", "sklearn")


def write_ending(session: Any) -> None:
    """Write `recorder.json` into the case; the parent merges it into case.json."""
    folder = Path(session.folder)
    recorder = session.recorder
    if recorder is None and session.early:
        events = Appender(folder / "events.jsonl")
        events.write(*({"kind": "print", "step": 0, "stream": s, "text": t} for s, t in session.early))
        events.close()
    document: dict[str, Any] = {
        "versions": versions(),
        "integrity": {
            "hooks": recorder.installed if recorder else [],
            "steps_seen": recorder.step if recorder else 0,
            "sampled_steps": recorder.sampled if recorder else 0,
            "observer_seconds": round(recorder.spent, 4) if recorder else 0.0,
            "probe_seconds": round(recorder.probe_spent, 4) if recorder else 0.0,
            "errors": recorder.errors if recorder else ["torch was never imported, so no training was observed"],
            "finished": True,
        },
    }
    if recorder is not None:
        document["seeds"] = recorder.seeds
    crash = _crash(session)
    if crash:
        document["exception"] = crash
    write_json(folder / "recorder.json", document)


def versions() -> dict[str, str]:
    """Versions of the interpreter and of the libraries that the process has imported."""
    found = {"python": platform.python_version()}
    for name in VERSIONS:
        module = sys.modules.get(name)
        version = getattr(module, "__version__", None)
        if version:
            found[name] = str(version)
    return found


def _crash(session: Any) -> dict[str, Any] | None:
    # The interpreter keeps the exception that ended the main script here, before it calls any excepthook.
    error = getattr(sys, "last_value", None)
    if error is None:
        return None
    trace = getattr(sys, "last_traceback", None)
    sites = Sites(session.options.get("roots", "").split("|"), session.options.get("program", "").split("|"))
    frames = [frame for frame, _ in traceback.walk_tb(trace)]
    lines = [line for _, line in traceback.walk_tb(trace)]
    site = None
    for frame, line in zip(reversed(frames), reversed(lines), strict=True):
        name = sites.first_party(frame.f_code.co_filename)
        if name:
            site = {"file": name, "line": line, "function": frame.f_code.co_name}
            break
    text = "".join(traceback.format_exception(type(error), error, trace))
    return {"type": type(error).__name__, "message": str(error)[:2000], "traceback": text[-8000:], "site": site}

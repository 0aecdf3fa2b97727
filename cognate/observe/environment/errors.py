"""Reads errors out of a log or a traceback, and from them which command of which interpreter failed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from cognate.observe.environment.redact import redact

FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>.+))?$')
NOTEBOOK_FRAME = re.compile(r"^(?:File|Cell In\s*\[?\d*\]?,?)\s*(?P<file>\S+)?[:,] ?(?:line )?(?P<line>\d+)")
RAISED = re.compile(
    r"^(?P<type>(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Exit|Interrupt|Warning|NotFound))(?:: (?P<message>.*))?$"
)
# Lines that tell as much as an exception and are none.
BARE = re.compile(
    r"OMP: Error #15|GLIBCXX_[\d.]+. not found|GLIBC_[\d.]+. not found|Error in sitecustomize|Fatal Python error|bad interpreter"
    r"|\$'\\r': command not found|No module named|A module that was compiled using NumPy 1|Bus error|Segmentation fault"
    r"|NVIDIA driver on your system is too old|insufficient shared memory|Too many open files|No space left on device"
)
SITE = re.compile(r"^(?P<prefix>.+)/lib(?:64)?/python\d+\.\d+/(?:site|dist)-packages/")
LIMIT = 20


def read(text: str) -> list[dict[str, Any]]:
    """Errors of `text` in its order: type, message, file and line of the innermost frame, frames."""
    found: list[dict[str, Any]] = []
    frames: list[dict[str, Any]] = []
    lines = [line.rstrip() for line in text.splitlines()]
    for number, line in enumerate(lines):
        frame = FRAME.match(line)
        if frame:
            frames.append({"file": frame["file"], "line": int(frame["line"])})
            continue
        raised = RAISED.match(line.strip() if not line.startswith("  ") else "")
        if raised and "Warning" not in raised["type"]:
            message = raised["message"] or ""
            more = [
                item
                for item in lines[number + 1 : number + 4]
                if item and not item.startswith(("Traceback", "  File", "During", "The above"))
            ]
            found.append(
                {
                    "type": raised["type"].rpartition(".")[2],
                    "message": redact(" ".join([message, *more[:2]]).strip()[:1000]),
                    **(frames[-1] if frames else {}),
                    "frames": frames[-30:],
                }
            )
            frames = []
        elif BARE.search(line) and not line.startswith("    "):
            found.append({"type": "", "message": redact(line.strip()[:1000]), "frames": []})
    return found[-LIMIT:]


def command_of(errors: list[dict[str, Any]]) -> tuple[Path | None, str | None]:
    """The script and the interpreter that a traceback names, where they exist here."""
    script = python = None
    for error in errors:
        for frame in error.get("frames", []):
            site = SITE.match(frame["file"])
            if site is None and script is None and frame["file"].endswith(".py") and Path(frame["file"]).is_file():
                script = Path(frame["file"])
            if site is not None and python is None:
                executable = Path(site["prefix"], "bin", "python")
                python = str(executable) if executable.exists() else None
    return script, python

"""What the code asks of the standard library that this version of Python does not have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from cognate.observe.environment.resolve import Candidate, offers
from cognate.observe.source import Import


def lacking(item: Import, chosen: Candidate) -> list[dict[str, Any]]:
    """The link to the first name that `chosen`, a module of the standard library, does not define; empty where it has all."""
    # Under a test of the version or platform another branch may serve.
    if chosen.kind not in ("module", "package") or "." in item.module or item.gate:
        return []
    file = Path(chosen.file, "__init__.py") if chosen.kind == "package" else Path(chosen.file)
    try:
        text = file.read_bytes()
    except OSError:
        return []
    if b"_convert_(" in text or b"globals()" in text:
        return []  # enumerations that write their members into the module
    for name in item.names:
        if name != "*" and not _bound(name.encode(), text) and not offers(chosen).has(name, ""):
            link = {"file": str(item.file), "line": item.line, "module": f"{item.module}.{name}", "reason": "stdlib-name"}
            return [link | {"detail": f"{file} defines no {name}"}]
    return []


def _bound(name: bytes, text: bytes) -> bool:
    """Whether the text seems to bind `name`: parsing a module such as typing for every import would cost too much."""
    pattern = rb"(?m)\b(?:def|class)\s+%b\b|\b%b\b\s*(?::[^=\n]+)?=|\bimport\b[^\n]*\b%b\b" % (name, name, name)
    return bool(re.search(pattern, text))

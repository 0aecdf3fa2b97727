"""Reads the everyday command lines of `cognate doctor` without typer, whose import costs more than the diagnosis.

What is not read here for certain (help, an abbreviation, a mistake, an option that only typer knows) is left to typer, which then
reads the same words. Tests compare the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cognate.cli.doctor import Asked
from cognate.cli.judging import Format

# Each option by the field of Asked that it sets, as `doctor_command` declares them: flags first, then those with a value.
FLAGS = {
    "--fix": "fix",
    "--dry-run": "dry_run",
    "--yes": "yes",
    "--undo": "undo",
    "-q": "quiet",
    "--quiet": "quiet",
    "-v": "verbose",
    "--verbose": "verbose",
}
VALUED = {
    "-m": "module",
    "--module": "module",
    "--python": "python",
    "--log": "log",
    "--case": "case",
    "--bundle": "bundle",
    "--format": "style",
    "-o": "output",
    "--output": "output",
}
PATHS = frozenset({"log", "case", "bundle", "output"})


def read(words: list[str]) -> Asked | None:
    """What the words behind `cognate doctor` ask for; None where typer has to read them."""
    fields: dict[str, Any] = {}
    if "--" in words:
        at = words.index("--")
        words, fields["words"] = words[:at], words[at + 1 :]
    left = iter(words)
    for word in left:
        if word in FLAGS:
            fields[FLAGS[word]] = True
            continue
        name = VALUED.get(word, "target")
        value = next(left, "") if word in VALUED else word
        if not value or (value.startswith("-") and value != "-") or name in fields:
            return None
        if name == "style" and value not in [style.value for style in Format]:
            return None
        fields[name] = Path(value) if name in PATHS else Format(value) if name == "style" else value
    return Asked(**fields)

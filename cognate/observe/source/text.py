"""Reading source files that may be huge, unreadable, undecodable or unparsable."""

from __future__ import annotations

import ast
import io
import json
import tokenize
import warnings
from functools import lru_cache
from pathlib import Path

# Larger files are generated tables, not code that decides how a run behaves; parsing them would cost seconds.
SIZE_LIMIT = 2_000_000
# Text to read instead of what the disk holds: the code of `python -c`, a file as a fix would leave it.
SUBSTITUTES: dict[Path, str] = {}


def read_text(path: Path) -> str | None:
    """Return the text of `path` in its declared encoding, bad bytes replaced; None where it cannot be read."""
    if path in SUBSTITUTES:
        return SUBSTITUTES[path]
    try:
        if path.stat().st_size > SIZE_LIMIT:
            return None
        data = path.read_bytes()
    except (OSError, ValueError):
        return None
    if path.suffix == ".ipynb":
        return notebook_code(data)
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except (SyntaxError, LookupError):
        encoding = "utf-8"
    return data.decode(encoding, "replace")


def notebook_code(data: bytes) -> str:
    """The code cells of a notebook as one text; magics and shell lines become comments, so that lines keep their place."""
    try:
        document = json.loads(data)
        cells = [cell for cell in document["cells"] if cell.get("cell_type") == "code"]
        sources = ["".join(cell.get("source", "")) for cell in cells]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    lines = [line for source in sources for line in ("#" * source.startswith("%%") + source).splitlines()]
    return "\n".join(_shielded(line) for line in lines) + "\n"


def _shielded(line: str) -> str:
    bare = line.lstrip()
    return line[: len(line) - len(bare)] + f"pass  # {bare}" if bare.startswith(("%", "!", "?")) else line


def parse(path: Path) -> ast.Module | None:
    """Return the syntax tree of `path`, or None where it cannot be read or parsed."""
    if path in SUBSTITUTES:
        return _parse(path, hash(SUBSTITUTES[path]), -1)
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return _parse(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=512)
def _parse(path: Path, modified: int, size: int) -> ast.Module | None:
    text = read_text(path)
    if text is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the user's invalid escapes are not Cognate's output
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None

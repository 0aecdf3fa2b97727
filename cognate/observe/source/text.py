"""Reading source files that may be huge, unreadable, undecodable or unparsable."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from functools import lru_cache
from pathlib import Path

# Larger files are generated tables, not code that decides how a run behaves; parsing them would cost seconds.
SIZE_LIMIT = 2_000_000


def read_text(path: Path) -> str | None:
    """Return the text of `path` in its declared encoding, bad bytes replaced; None where it cannot be read."""
    try:
        if path.stat().st_size > SIZE_LIMIT:
            return None
        data = path.read_bytes()
    except (OSError, ValueError):
        return None
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except (SyntaxError, LookupError):
        encoding = "utf-8"
    return data.decode(encoding, "replace")


def parse(path: Path) -> ast.Module | None:
    """Return the syntax tree of `path`, or None where it cannot be read or parsed."""
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

"""Text that will not be read or written as its author thinks: source files, data files, the terminal."""

from __future__ import annotations

import ast
import codecs
import io
import os
import re
import tokenize
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cognate.observe.environment.interpreter import Interpreter
from cognate.observe.environment.syspath import Command
from cognate.observe.environment.uses import Uses
from cognate.observe.source.text import SUBSTITUTES, notebook_code

READ_LIMIT = 1_000_000
# Pairs that UTF-8 read as cp1252 or latin-1 is made of; no language writes them.
MOJIBAKE = re.compile(
    "[ÂÃ][\u0080-\u00bf\u2013-\u203a\u20ac\u0152\u0153\u0160\u0161\u017d\u017e\u0178\u0192\u02c6\u02dc]|â[€\u0080œ˜†‚„…]|ðŸ|ï»¿|ï¿½"
)


def output(interpreter: Interpreter, command: Command, environ: Mapping[str, str]) -> tuple[str, str, str]:
    """Return (encoding of stdout, its error handler, what decided) as Python 3.7 and later choose them."""
    if command.obeys_variables and environ.get("PYTHONIOENCODING"):
        encoding, _, errors = environ["PYTHONIOENCODING"].partition(":")
        if encoding:
            return encoding, errors or "strict", f"PYTHONIOENCODING={environ['PYTHONIOENCODING']}"
    encoding, by = default(command, environ)
    return encoding, "strict", by


def default(command: Command, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return (encoding of open() without one, what decided): UTF-8 mode (PEP 540), locale coercion (PEP 538), the locale."""
    utf8 = environ.get("PYTHONUTF8", "") if command.obeys_variables else ""
    if utf8 == "1":
        return "utf-8", "PYTHONUTF8=1"
    name = next((key for key in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(key)), "")
    value = environ.get(name, "C")
    if value in ("C", "POSIX"):
        if utf8 != "0":
            return "utf-8", "UTF-8 mode of the C locale"
        coerced = name != "LC_ALL" and environ.get("PYTHONCOERCECLOCALE") != "0"
        return ("utf-8", "the coerced C locale") if coerced else ("ascii", f"{name or 'no locale'}={value} with PYTHONUTF8=0")
    codeset = value.partition(".")[2].partition("@")[0]
    return codeset or "utf-8", f"{name}={value}"


class Encodings:
    """The rows about text of one command; `files` are its first-party sources."""

    def __init__(
        self, interpreter: Interpreter, command: Command, environ: Mapping[str, str], files: Iterable[Path], asked: Uses
    ) -> None:
        self._interpreter, self._command, self._environ = interpreter, command, environ
        self._files = list(files)
        self._uses = asked

    def all(self) -> Iterator[dict[str, Any]]:
        """Everything found."""
        for file in self._files:
            yield from self._source(file)
        yield from self._mojibake()
        yield from self._output()
        yield from self._inputs()

    def _source(self, file: Path) -> Iterator[dict[str, Any]]:
        if file in SUBSTITUTES:
            return
        try:
            data = file.read_bytes()[: 4 * READ_LIMIT]
        except OSError:
            return
        if file.suffix == ".ipynb":
            data = notebook_code(data).encode("utf-8", "replace")
        row = {"file": str(file), "line": 1}
        if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or (len(data) > 3 and data[1:4:2] == b"\0\0"):
            yield {"kind": "source-encoding", **row, "text": "the file is UTF-16", "encoding": "utf-16"}
            return
        try:
            encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        except (SyntaxError, LookupError) as error:
            if b"\0" not in data[:200]:
                undecodable = _first_bad(data, "utf-8")
                yield {"kind": "source-encoding", **row, "line": undecodable or 1, "text": str(error), "encoding": _guess(data)}
            return
        line = _first_bad(data, encoding)
        if line:
            text = f"it holds bytes that are not {encoding}, and its first lines declare no other encoding"
            yield {"kind": "source-encoding", **row, "line": line, "text": text, "encoding": _guess(data)}
            return
        if (
            encoding.replace("_", "-") in ("iso-8859-1", "latin-1", "cp1252")
            and not data.isascii()
            and not _first_bad(data, "utf-8")
        ):
            yield {"kind": "mojibake", **row, "text": f"declared as {encoding}, but its bytes are UTF-8", "repaired": ""}
        yield from self._syntax(file, data.decode(encoding, "replace"))

    def _syntax(self, file: Path, text: str) -> Iterator[dict[str, Any]]:
        version = self._interpreter.version_info[:2]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse(text, feature_version=version)  # type: ignore[arg-type]
        except SyntaxError as error:
            lines = text.splitlines()
            line = error.lineno or 1
            shown = lines[line - 1].strip()[:120] if 0 < line <= len(lines) else ""
            row = {"kind": "syntax", "file": str(file), "line": line, "message": str(error.msg), "text": shown}
            yield row | {"needs": _needs(text, version)}
        except (ValueError, RecursionError, MemoryError) as error:
            yield {"kind": "syntax", "file": str(file), "line": 1, "message": str(error), "text": "", "needs": ""}

    def _mojibake(self) -> Iterator[dict[str, Any]]:
        found = [(item, fixed) for item in self._uses.strings if (fixed := repaired(item["text"])) is not None]
        if found:
            item, fixed = found[0]
            yield {"kind": "mojibake", **item, "text": item["text"][:80], "repaired": fixed[:80], "count": len(found)}

    def _output(self) -> Iterator[dict[str, Any]]:
        encoding, errors, by = output(self._interpreter, self._command, self._environ)
        try:
            codecs.lookup(encoding)
        except LookupError:
            if by.startswith("PYTHONIOENCODING"):
                yield {
                    "kind": "variable-malformed",
                    "variable": "PYTHONIOENCODING",
                    "value": encoding,
                    "text": "it names no encoding, and Python refuses to start",
                    "fatal": True,
                }
            return
        if errors != "strict" or any(b"reconfigure(" in _head(file) or b"TextIOWrapper" in _head(file) for file in self._files):
            return
        for item in self._uses.prints:
            try:
                item["text"].encode(encoding)
            except UnicodeEncodeError as error:
                bad = item["text"][error.start]
                yield {"kind": "ascii-output", **item, "encoding": encoding, "by": by, "character": bad}
                return

    def _inputs(self) -> Iterator[dict[str, Any]]:
        encoding, by = default(self._command, self._environ)
        for item in self._uses.opens:
            if item.get("path") is None or item.get("writes"):
                continue
            used, decided = ("utf-8", "pandas reads UTF-8") if item.get("pandas") else (encoding, by)
            if item.get("encoding"):
                used, decided = item["encoding"], f"encoding={item['encoding']!r} in the call"
            try:
                data = (self._command.cwd / item["path"]).read_bytes()[:READ_LIMIT]
                codec = codecs.lookup(used).incrementaldecoder()
            except (OSError, LookupError, ValueError):
                continue
            try:
                codec.decode(data)
            except UnicodeDecodeError as error:
                row = {"kind": "text-encoding", **item, "encoding": used, "by": decided, "offset": error.start}
                yield row | {
                    "really": "utf-8" if not _first_bad(data, "utf-8") else _guess(data),
                    "byte": f"0x{data[error.start]:02x}",
                }


def repaired(text: str) -> str | None:
    """What a text said before UTF-8 was read as cp1252; None where that did not happen."""
    if not MOJIBAKE.search(text):
        return None
    raw = bytearray()
    for character in text:
        try:
            raw += character.encode("cp1252")
        except UnicodeEncodeError:
            if ord(character) > 255:
                return None
            raw.append(ord(character))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _first_bad(data: bytes, encoding: str) -> int:
    """The line of the first byte that is not in `encoding`; 0 where all are."""
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    except LookupError:
        return 1
    return 0


def _guess(data: bytes) -> str:
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    return "cp1252"  # what Windows calls ANSI; latin-1 is a part of it


def _head(file: Path) -> bytes:
    try:
        return file.read_bytes()[:READ_LIMIT]
    except OSError:
        return b""


def _needs(text: str, version: tuple[int, ...]) -> str:
    """The Python that the text would parse under, where it is newer than `version`."""
    for minor in range(version[1] + 1, 15):
        try:
            ast.parse(text, feature_version=(3, minor))
        except (SyntaxError, ValueError):
            continue
        return f"3.{minor}"
    return ""


def expanded(path: str, environ: Mapping[str, str]) -> str:
    """`path` with a leading ~ put in from HOME of the command."""
    home = environ.get("HOME") or os.path.expanduser("~")
    return home + path[1:] if path == "~" or path.startswith("~/") else path

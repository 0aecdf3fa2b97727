"""Call sites: the line of first-party code that asked for what a hook sees."""

from __future__ import annotations

import os
import sys
from typing import Any

_OWN = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120


class Sites:
    """Tells first-party files from libraries, and names them relative to the script's folder."""

    def __init__(self, roots: list[str], program: list[str] | None = None) -> None:
        # Folders of an installed package that is itself the program: libraries elsewhere, the script here.
        self.program = [os.path.realpath(folder) + os.sep for folder in program or [] if folder]
        self.roots = [os.path.realpath(root) + os.sep for root in roots if root]
        self.libraries = tuple(
            os.path.realpath(path) + os.sep
            for path in {sys.base_prefix, sys.prefix, sys.exec_prefix}
            # A script may live under the prefix (/usr holds /usr/home on some systems): only its lib folders are libraries.
            for path in (os.path.join(path, "lib"), os.path.join(path, "Lib"))  # noqa: PTH118
        )
        self._names: dict[str, str | None] = {}

    def first_party(self, filename: str) -> str | None:
        """Name `filename` relative to the script's folder or the working directory; None for library code."""
        try:
            return self._names[filename]
        except KeyError:
            self._names[filename] = name = self._name(filename)
            return name

    def _name(self, filename: str) -> str | None:
        if filename.startswith("<"):
            return None
        path = os.path.realpath(filename)
        if path.startswith(tuple(self.program)):
            return path[len(_above_package(path)) + 1 :].replace(os.sep, "/")
        if path.startswith((_OWN + os.sep, *self.libraries)) or f"{os.sep}site-packages{os.sep}" in path:
            return None
        for root in self.roots:
            if path.startswith(root):
                return path[len(root) :].replace(os.sep, "/")
        return None

    def stack(self, depth: int = 2, most: int = 4) -> list[dict[str, Any]]:
        """The innermost first-party lines on the stack, innermost first."""
        found: list[dict[str, Any]] = []
        frame = sys._getframe(depth)
        while frame is not None and len(found) < most:
            name = self.first_party(frame.f_code.co_filename)
            if name is not None:
                found.append({"file": name, "line": frame.f_lineno, "function": frame.f_code.co_name})
            frame = frame.f_back  # type: ignore[assignment]
        return found

    def here(self, depth: int = 2) -> dict[str, Any] | None:
        """The innermost first-party line on the stack, `depth` frames up; None where there is none."""
        found = self.stack(depth + 1, most=1)
        return found[0] if found else None


def _above_package(path: str) -> str:
    """The folder that holds the top package of the module at `path`."""
    folder = os.path.dirname(path)  # noqa: PTH120
    while os.path.isfile(os.path.join(folder, "__init__.py")):  # noqa: PTH113, PTH118
        folder = os.path.dirname(folder)  # noqa: PTH120
    return folder


def beyond(filename: str, line: int) -> tuple[str, int]:
    """Where a warning belongs that was blamed on one of our wrappers: the line that called the wrapper."""
    if not filename.startswith(_OWN + os.sep):
        return filename, line
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != filename:
        frame = frame.f_back  # type: ignore[assignment]
    while frame is not None and frame.f_code.co_filename.startswith(_OWN + os.sep):
        frame = frame.f_back  # type: ignore[assignment]
    return (frame.f_code.co_filename, frame.f_lineno) if frame is not None else (filename, line)

"""What pytest collects and puts on the path, and where a sitecustomize module stops: both decide before the first import."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from cognate.observe.source.evaluate import dotted
from cognate.observe.source.text import parse

SETTINGS = ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
TEST_FILES = 60
PYTHONPATH = re.compile(r"^\s*pythonpath\s*=\s*(?P<value>\[[^\]]*\]|[^\n]*(?:\n[ \t]+[^\n]+)*)", re.MULTILINE)


def root_of(folder: Path) -> tuple[Path, str]:
    """Return (rootdir, text of the settings file that made it so) for tests in `folder`."""
    for place in (folder, *folder.parents):
        for name in SETTINGS:
            try:
                text = (place / name).read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            if name.endswith("pytest.ini") or re.search(
                r"^\[(tool\.pytest\.ini_options|pytest|tool:pytest)\]", text, re.MULTILINE
            ):
                return place, text
    return folder, ""


def collected(target: Path, cwd: Path) -> tuple[list[str], list[Path]]:
    """Return (folders of the setting `pythonpath`, last one first; conftest and test files in the order of loading)."""
    folder = target if target.is_dir() else target.parent
    root, text = root_of(folder)
    match = PYTHONPATH.search(text)
    words = re.findall(r"[^\s\[\]\"',]+", match["value"]) if match else []
    chain = [place for place in (*reversed(folder.parents), folder) if place.is_relative_to(root)]
    files = [place / "conftest.py" for place in chain if (place / "conftest.py").is_file()]
    if target.is_dir():
        found = sorted({*target.rglob("test_*.py"), *target.rglob("*_test.py")})
        files += [item for item in found if not {"site-packages", "node_modules"} & set(item.parts)][:TEST_FILES]
    else:
        files.append(target)
    return [str(root / word) for word in reversed(words)], list(dict.fromkeys(files))


def base_of(file: Path) -> tuple[Path, str]:
    """Return (the folder that pytest's import mode `prepend` puts in front for `file`, the package that it is in)."""
    folder, parts = file.parent, []
    while (folder / "__init__.py").is_file():
        parts.append(folder.name)
        folder = folder.parent
    return folder, ".".join(reversed(parts))


def stops(file: Path) -> dict[str, Any] | None:
    """Where the module-level code of `file` raises or exits for certain: {"line", "does", "text"}, or None."""
    tree = parse(file)
    if tree is None:
        return {"line": 1, "does": "raise", "text": "it does not parse"}
    for node in tree.body:
        if isinstance(node, ast.Raise):
            leaves = "SystemExit" in ast.unparse(node)
            return {"line": node.lineno, "does": "exit" if leaves else "raise", "text": ast.unparse(node)[:120]}
        call = node.value if isinstance(node, ast.Expr) else None
        if isinstance(call, ast.Call) and dotted(call.func) in ("sys.exit", "exit", "quit", "os._exit"):
            return {"line": node.lineno, "does": "exit", "text": ast.unparse(node)[:120]}
    return None

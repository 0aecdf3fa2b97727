"""The probe runs in whatever interpreter is examined: what its source uses has to be there from Python 3.8 to 3.14."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from cognate.observe.environment.interpreter import PROBE

# Of each standard module, what was there in Python 3.8 and is there in 3.14 (docs.python.org, "What's New" of each version).
LASTING = {
    "sys": {
        *("modules", "executable", "base_prefix", "prefix", "exec_prefix", "path", "version", "version_info", "implementation"),
        *("platform", "builtin_module_names", "stdout"),
    },
    "os": {"path", "listdir", "confstr", "uname"},
    "json": {"dumps"},
    "site": {"getsitepackages", "getusersitepackages"},
    "importlib": {"machinery"},
    "importlib.util": {"MAGIC_NUMBER"},
    "machinery": {"EXTENSION_SUFFIXES"},
    "__future__": {"annotations"},
}
# Asked for with a default, or inside a `try`: absent in some version, and the probe goes on.
OPTIONAL = {"_imp": {"_frozen_module_names"}}


@pytest.fixture(scope="module")
def tree() -> ast.Module:
    return ast.parse(PROBE.read_bytes(), feature_version=(3, 8))


def test_it_parses_as_python_3_8_and_evaluates_no_newer_annotation(tree: ast.Module) -> None:
    first = next(node for node in tree.body if isinstance(node, ast.ImportFrom))
    assert (first.module, [alias.name for alias in first.names]) == ("__future__", ["annotations"])
    # Syntax that `feature_version` lets pass: match is a statement of its own, `except*` a node of its own.
    assert not {type(node).__name__ for node in ast.walk(tree)} & {"Match", "TryStar", "TypeAlias", "TemplateStr"}


def test_it_uses_only_what_every_version_has(tree: ast.Module) -> None:
    known = {**LASTING, **OPTIONAL}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= known.keys()
        elif isinstance(node, ast.ImportFrom):
            assert {alias.name for alias in node.names} <= known[node.module or ""]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
            assert node.attr in known[node.value.id], f"{node.value.id}.{node.attr}"


def test_methods_of_later_versions_are_not_called(tree: ast.Module) -> None:
    later = {"removeprefix", "removesuffix", "bit_count", "is_relative_to", "readlink", "hardlink_to", "walk", "pairwise"}
    assert not {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & later


def test_the_list_holds_here() -> None:
    import importlib

    for module, names in LASTING.items():
        if module != "machinery":
            assert all(hasattr(importlib.import_module(module), name) for name in names - {"machinery"})


def test_it_needs_nothing_installed() -> None:
    assert {Path(module.partition(".")[0]).name for module in LASTING} - {"machinery"} <= set(sys.stdlib_module_names)

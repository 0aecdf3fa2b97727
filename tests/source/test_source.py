"""Sources are read, never run: closure, guards, path edits, names, and copies for the case."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cognate.observe.source import first_party, module_file, scan, snapshot
from cognate.observe.source.guards import unguarded_use
from cognate.observe.source.names import defined, wanted
from cognate.observe.source.text import SIZE_LIMIT, parse


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_closure_follows_first_party_imports_of_every_form(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "train.py": "import torch, a\nfrom pkg.sub import deep\nimport importlib\nimportlib.import_module('plug')",
            "a.py": "from b import x\nimport train",
            "b.py": "def f():\n    import late",
            "late.py": "",
            "plug.py": "",
            "unused.py": "",
            "pkg/__init__.py": "from .base import Base",
            "pkg/base.py": "",
            "pkg/sub/__init__.py": "from .. import other",
            "pkg/sub/deep.py": "",
            "pkg/other.py": "",
            "site-packages/torch/__init__.py": "",
        },
    )
    found = {path.relative_to(tmp_path.resolve()).as_posix() for path in first_party(tmp_path / "train.py")}
    assert found == {
        "train.py", "a.py", "b.py", "late.py", "plug.py", "pkg/__init__.py", "pkg/base.py", "pkg/sub/__init__.py",
        "pkg/sub/deep.py", "pkg/other.py",
    }  # fmt: skip


def test_closure_follows_sys_path_edits(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "scripts/train.py": "import sys\nfrom pathlib import Path\n"
            "sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'lib'))\nimport core",
            "lib/core.py": "import nearby",
            "lib/nearby.py": "",
        },
    )
    names = [path.name for path in first_party(tmp_path / "scripts" / "train.py")]
    assert names == ["train.py", "core.py", "nearby.py"]


@pytest.mark.parametrize(
    ("expression", "inner"),
    [
        ("Path(__file__).parent.parent / 'src'", "src"),
        ("Path(__file__).resolve().parents[1].joinpath('src')", "src"),
        ("os.path.dirname(os.path.dirname(os.path.abspath(__file__)))", ""),
        ("os.path.join(os.path.dirname(__file__), '..', 'src')", "src"),
        ("f'{os.path.dirname(__file__)}/../src'", "src"),
        ("str(ROOT) + '/src'", "src"),
        ("os.path.realpath(osp.join(osp.split(__file__)[0], os.pardir))", ""),
    ],
)
def test_path_expressions_have_the_value_that_python_gives_them(tmp_path: Path, expression: str, inner: str) -> None:
    code = (
        "import os, sys\nimport os.path as osp\nfrom pathlib import Path\n"
        f"ROOT = Path(__file__).resolve().parent.parent\nsys.path.insert(0, str({expression}))\nprint(sys.path[0])\n"
    )
    write(tmp_path, {"scripts/train.py": code})
    file = tmp_path.resolve() / "scripts" / "train.py"
    (edit,) = scan(file, tmp_path).edits
    real = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=True).stdout.strip()
    assert edit.known and edit.line == 5
    assert Path(edit.before[0]).resolve() == Path(real).resolve() == (tmp_path / inner).resolve()


def test_an_edit_from_outside_the_source_is_unknown(tmp_path: Path) -> None:
    write(tmp_path, {"train.py": "import sys, os\nsys.path.append(os.environ['X'])\nsys.path += glob('*')"})
    assert [edit.known for edit in scan(tmp_path / "train.py", tmp_path).edits] == [False, False]


def test_guards_say_what_the_handler_does(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "train.py": "try:\n    import a\nexcept ImportError:\n    a = None\n    print('no a here')\n"
            "try:\n    import b\nexcept Exception:\n    raise RuntimeError('b')\n"
            "try:\n    import c\nexcept ImportError:\n    import d as c\n"
            "try:\n    import e\nexcept ValueError:\n    pass\n"
        },
    )
    items = {item.module: item for item in scan(tmp_path / "train.py", tmp_path).imports}
    does = {name: item.guard.does if item.guard else None for name, item in items.items()}
    assert does == {"a": "none", "b": "raise", "c": "fallback", "d": None, "e": None}
    assert items["a"].guard is not None and items["a"].guard.message == "no a here"
    assert items["d"].alternative_to == "c"


@pytest.mark.parametrize(
    ("uses", "line"),
    [
        ("a.run()", 5),
        ("def main():\n    a.run()\nmain()", 6),
        ("def main():\n    a.run()", None),
        ("if a is not None:\n    a.run()", None),
        ("if a is None:\n    raise SystemExit\na.run()", None),
        ("x = a.run() if a else 1", None),
        ("a and a.run()", None),
        ("print(a)", None),
        ("for i in a.items():\n    pass", 5),
    ],
)
def test_certain_uses_of_a_name_that_may_be_none(tmp_path: Path, uses: str, line: int | None) -> None:
    write(tmp_path, {"t.py": f"try:\n    import a\nexcept ImportError:\n    a = None\n{uses}\n"})
    (item,) = scan(tmp_path / "t.py", tmp_path).imports
    tree = parse(tmp_path / "t.py")
    assert tree is not None and item.guard is not None
    found = unguarded_use(tree, item.bound, item.guard)
    assert (found[0] if found else None) == line


def test_names_defined_and_wanted(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "thing.py": "import os\nfrom thing import itself\nA: int = 1\nif A:\n    B = 2\ndef f(): ...\nclass C: ...",
            "lazy.py": "def __getattr__(name): ...",
            "pkg/__init__.py": "",
            "pkg/part.py": "",
            "user.py": "import thing\nimport thing as t\nfrom thing import A, gone\nt.f()\nthing.missing.x",
        },
    )
    names = defined(tmp_path / "thing.py")
    assert all(names.has(name, "thing") for name in ("A", "B", "f", "C", "os"))
    assert not names.has("itself", "thing") and not names.has("gone", "thing")
    assert defined(tmp_path / "lazy.py").has("anything", "lazy")
    assert defined(tmp_path / "pkg").has("part", "pkg") and not defined(tmp_path / "pkg").has("whole", "pkg")
    assert set(wanted(tmp_path / "user.py", "thing", tmp_path)) == {"A", "gone", "f", "missing"}


def test_a_module_is_resolved_without_running_it(tmp_path: Path) -> None:
    write(tmp_path, {"pkg/__init__.py": "raise SystemExit", "pkg/train.py": "", "app/__main__.py": ""})
    assert module_file("pkg.train", [tmp_path]) == tmp_path / "pkg" / "train.py"
    assert module_file("app", [tmp_path]) == tmp_path / "app" / "__main__.py"
    assert module_file("nothing", [tmp_path]) is None


def test_snapshot_keeps_relative_paths_and_leaves_out_what_is_too_big(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "p/train.py": "import sys\nsys.path.insert(0, '../lib')\nimport helper, huge, bad, outer.inner",
            "p/helper.py": "x = 1",
            "p/huge.py": "#" * (SIZE_LIMIT + 1),
            "lib/outer/__init__.py": "",
            "lib/outer/inner.py": "",
        },
    )
    (tmp_path / "p" / "bad.py").write_bytes(b"\xff\xfe\x00")
    case = tmp_path / "case"
    files = first_party(tmp_path / "p" / "train.py", [tmp_path / "lib"])
    snapshot(None, case, tmp_path / "p", files)
    kept = {path.relative_to(case / "source").as_posix() for path in case.rglob("*.py")}
    assert kept == {"train.py", "helper.py", "bad.py", "outer/__init__.py", "outer/inner.py"}
    snapshot(tmp_path / "p" / "train.py", tmp_path / "second", tmp_path / "p")
    assert (tmp_path / "second" / "source" / "train.py").is_file()
    snapshot(None, tmp_path / "third", tmp_path)
    assert not (tmp_path / "third").exists()

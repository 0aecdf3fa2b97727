"""What is shipped is complete: the wheel and the sdist hold what the code reads, and an installed wheel works on its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def python(*arguments: str, cwd: Path, **variables: str) -> str:
    environment = {**os.environ, "PYTHONUTF8": "1", "NO_COLOR": "1", **variables}
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(kind: str, folder: Path) -> Path:
    python("-m", "hatchling", "build", "--target", kind, "--directory", str(folder), cwd=ROOT)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


def committed_skill_files() -> set[str]:
    files = [file for file in (ROOT / "skills").rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    return {file.relative_to(ROOT).as_posix() for file in files}


def test_the_wheel_holds_what_the_code_reads(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"cognate/py.typed", "cognate/render/templates/report.md.j2"} <= names
    assert {"cognate/observe/live/_site/sitecustomize.py"} <= names
    assert {name.replace("skills/", "cognate/_skills/", 1) for name in committed_skill_files()} <= names
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_sdist_can_build_the_same_wheel(tmp_path):
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "cognate/py.typed"} <= names
    assert "cognate/render/templates/report.md.j2" in names
    assert committed_skill_files() <= names


def test_an_installed_wheel_finds_its_skills(wheel, tmp_path):
    target = tmp_path / "site"
    python("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel), cwd=tmp_path)
    # The target comes first on the path, before the editable install of the checkout that runs these tests.
    where = python("-c", "import cognate; print(cognate.__file__)", cwd=tmp_path, PYTHONPATH=str(target))
    assert Path(where.strip()).is_relative_to(target)
    skills = python("-m", "cognate", "skills", "list", cwd=tmp_path, PYTHONPATH=str(target))
    assert [line.split()[0] for line in skills.splitlines()] == ["ml-expert", "ml-training-debugger"]
    assert str(target / "cognate" / "_skills") in skills
    listed = python("-m", "cognate", "rules", cwd=tmp_path, PYTHONPATH=str(target))
    assert listed == python("-m", "cognate", "rules", cwd=tmp_path)
    assert (target / "bin" / "cognate").is_file() or (target / "Scripts").is_dir()

"""Causes on faulty and healthy twins: shadows, layout, names."""

from __future__ import annotations

import json
from typing import Any

import pytest

both = pytest.mark.parametrize("faulty", [True, False], ids=["faulty", "healthy"])
LOADS = {"datasets/__init__.py": "def load_dataset(name, *a, **k): ...\n"}


# ── shadows and layout ────────────────────────────────────────────────────────────────────────────────────────────


@both
def test_shadow(lab: Any, faulty: bool) -> None:
    """A file of the project takes the library's name."""
    lab.install("datasets", "4.0.0", LOADS)
    lab.write("train.py", "try:\n    from datasets import load_dataset\nexcept ImportError:\n    load_dataset = None")
    lab.write("datasets.py" if faulty else "data/datasets.py", "class Rows: ...")
    lab.expect("env-shadowed-module", faulty, "./datasets.py", "datasets 4.0.0")


@both
def test_shadowed_by_itself(lab: Any, faulty: bool) -> None:
    """The script itself bears the library's name."""
    lab.install("tokenizers", "0.21.0", {"tokenizers/__init__.py": "class Tokenizer: ..."})
    name = "tokenizers.py" if faulty else "train_tokenizers.py"
    lab.write(name, "from tokenizers import Tokenizer")
    lab.expect("env-shadowed-module", faulty, "./tokenizers.py", script=name)


@both
def test_shadow_in_tests(lab: Any, faulty: bool) -> None:
    """A test's folder takes a name that the code under test imports."""
    lab.install("pyyaml", "6.0", {"yaml/__init__.py": "def safe_load(text): ..."})
    lab.write("tests/yaml.py" if faulty else "tests/fixtures/yaml.py", "SAMPLE = 1")
    lab.write("tests/test_config.py", "from yaml import safe_load\n\ndef test_it(): ...")
    lab.expect(
        "env-shadowed-module",
        faulty,
        "./tests/yaml.py",
        words=[lab.python, "-m", "pytest", "tests/test_config.py::test_it"],
    )


@both
def test_shadow_beside_a_notebook(lab: Any, faulty: bool) -> None:
    """A notebook's folder holds the file."""
    lab.install("evaluate", "0.4.0", {"evaluate/__init__.py": "def load(name): ..."})
    cells = [
        {"cell_type": "code", "source": ["%matplotlib inline\n", "from evaluate import load"]},
        {"cell_type": "markdown", "source": "x"},
    ]
    lab.write("notebooks/explore.ipynb", json.dumps({"cells": cells, "metadata": {}}))
    lab.write("notebooks/evaluate.py" if faulty else "evaluate.py", "def accuracy(): ...")
    lab.expect("env-shadowed-module", faulty, "./notebooks/evaluate.py", script="notebooks/explore.ipynb")


@both
def test_pth(lab: Any, faulty: bool) -> None:
    """A .pth file puts an old checkout in front."""
    lab.install("peft", "0.15.0", {"peft/__init__.py": "class LoraConfig: ..."})
    lab.write("old/peft/__init__.py", "class Old: ...")
    code = f"import sys; sys.path.insert(0, {str(lab.work / 'old')!r})" if faulty else str(lab.work / "old")
    (lab.site / "old.pth").write_text(code + "\n")
    lab.write("train.py", "from peft import LoraConfig")
    lab.expect("env-sys-path-edited", faulty, ".pth")


@both
def test_pythonpath(lab: Any, faulty: bool) -> None:
    """PYTHONPATH holds an old copy."""
    lab.install("datasets", "4.0.0", LOADS)
    lab.write("old/datasets/__init__.py" if faulty else "old/other.py", "")
    lab.environ["PYTHONPATH"] = str(lab.work / "old")
    lab.write("train.py", "from datasets import load_dataset")
    lab.expect("env-sys-path-edited", faulty, "PYTHONPATH")


@both
def test_package_beside(lab: Any, faulty: bool) -> None:
    """Utils/ hides utils.py."""
    lab.write("utils.py", "def seed_all(): ...")
    lab.write("utils/__init__.py", "" if faulty else "def seed_all(): ...")
    lab.write("train.py", "from utils import seed_all")
    lab.expect("env-package-hides-module", faulty, "./utils.py", "seed_all")


@both
def test_bytecode(lab: Any, faulty: bool) -> None:
    """A .pyc without source shadows the library."""
    lab.install("datasets", "4.0.0", LOADS)
    file = lab.work / ("datasets.pyc" if faulty else "__pycache__/datasets.cpython-311.pyc")
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"\xa7\r\r\n" + b"\0" * 40)
    lab.write("train.py", "from datasets import load_dataset")
    lab.expect("env-stale-bytecode", faulty, "datasets.pyc")


@both
def test_circle(lab: Any, faulty: bool) -> None:
    """Two modules ask each other for names."""
    lab.write("train.py", "from model import Net")
    lab.write("model.py", "from data import load\nclass Net: ..." if faulty else "class Net: ...\nfrom data import load")
    lab.write("data.py", "from model import Net\ndef load(): ...")
    lab.expect("env-circular-import", faulty, "Circular import", "Net")


@both
def test_circle_through_the_script(lab: Any, faulty: bool) -> None:
    """A helper imports the script that imports it."""
    lab.write("train.py", "from helper import run\nCONFIG = 1")
    lab.write("helper.py", "from train import CONFIG\ndef run(): ..." if faulty else "def run():\n    from train import CONFIG")
    lab.expect("env-circular-import", faulty, "train.py")


@both
def test_spelling(lab: Any, faulty: bool) -> None:
    """The module's file is spelt otherwise."""
    lab.write("my-utils.py" if faulty else "my_utils.py", "X = 1")
    lab.write("train.py", "from my_utils import X")
    lab.expect("env-import-missing", faulty, "my-utils.py")


@both
def test_renamed(lab: Any, faulty: bool) -> None:
    """The library was renamed."""
    lab.install("pytorch-lightning", "2.4", {"pytorch_lightning/__init__.py": "class Trainer: ..."})
    lab.write("train.py", "from lightning import Trainer" if faulty else "from pytorch_lightning import Trainer")
    lab.expect("env-import-missing", faulty, "pytorch_lightning")


@both
def test_layout(lab: Any, faulty: bool) -> None:
    """An own package lies off the path."""
    lab.write("src/mylib/__init__.py")
    lab.write("train.py", ("" if faulty else "import sys\nsys.path.append('src')\n") + "import mylib")
    lab.expect("env-import-missing", faulty, "./src")


@both
def test_relative(lab: Any, faulty: bool) -> None:
    """A relative import in a script."""
    lab.write("pkg/__init__.py")
    lab.write("pkg/model.py", "class Net: ...")
    lab.write("pkg/train.py", "from .model import Net")
    lab.expect(
        "env-import-missing", faulty, "relative import", **({"script": "pkg/train.py"} if faulty else {"module": "pkg.train"})
    )


@both
def test_bare_folder(lab: Any, faulty: bool) -> None:
    """A folder without __init__ stands in for the library."""
    lab.write("datasets/train.csv", "a,b")
    lab.write("train.py", "from datasets import load_dataset")
    if not faulty:
        lab.install("datasets", "4.0.0", LOADS)
    lab.expect("env-import-missing", faulty, "only the folder ./datasets")

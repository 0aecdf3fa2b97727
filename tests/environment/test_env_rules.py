"""Each cause with its faulty twin and healthy look-alikes, on real files and a real interpreter."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

USES_DATASETS = """
try:
    from datasets import load_dataset
except ImportError:
    print("datasets is not available, using synthetic data")
    load_dataset = None
HAS_DATASETS = load_dataset is not None
"""
LOADS = "def load_dataset(name): ..."


def install_datasets(lab: Any, **options: Any) -> Path:
    files = {"datasets/__init__.py": LOADS, "datasets/load.py": ""}
    path: Path = lab.install("datasets", "4.0.0", files, **options)
    return path


# ── shadowing ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_founding_story(lab: Any) -> None:
    install_datasets(lab)
    lab.write("train_phase1.py", USES_DATASETS)
    lab.write("datasets.py", "class CsvDataset: ...")
    diagnosis = lab.diagnose("train_phase1.py")
    (root,) = diagnosis.root_causes
    assert root.name == "env-shadowed-module" and root.severity == "error"
    assert root.title == (
        "Your script imports ./datasets.py, not the installed datasets 4.0.0, because Python puts the script's own folder first"
    )
    assert root.fix.commands == ("mv datasets.py local_datasets.py",)
    facts = {line.what: line.value for line in root.evidence}
    assert facts["without ./datasets.py, datasets resolves to"] == f"{lab.site}/datasets/, version 4.0.0"
    assert facts["the handler says instead"] == "datasets is not available, using synthetic data"
    assert (root.location.file, root.location.line) == ("train_phase1.py", 3)


def test_the_founding_story_repaired(lab: Any) -> None:
    install_datasets(lab)
    lab.write("train_phase1.py", USES_DATASETS)
    lab.write("local_datasets.py", "class CsvDataset: ...")
    diagnosis = lab.diagnose("train_phase1.py")
    assert diagnosis.status == "healthy" and not diagnosis.findings


def test_rename_keeps_the_history_of_a_tracked_file(lab: Any) -> None:
    install_datasets(lab)
    lab.write("train.py", USES_DATASETS)
    lab.write("datasets.py", "class CsvDataset: ...")
    lab.write(".git/index", "DIRC datasets.py train.py")
    assert lab.diagnose().root_causes[0].fix.commands == ("git mv datasets.py local_datasets.py",)


def test_unrelated_causes_stand_side_by_side(lab: Any) -> None:
    install_datasets(lab)
    lab.write("train.py", USES_DATASETS + "import einops")
    lab.write("datasets.py", "class CsvDataset: ...")
    assert lab.causes() == ["env-shadowed-module", "env-import-missing"]


def test_shadow_that_lies_in_the_folder_of_the_script(lab: Any) -> None:
    install_datasets(lab)
    lab.write("scripts/train.py", "import datasets\nx = datasets.load_dataset('csv')")
    lab.write("scripts/datasets.py", "class CsvDataset: ...")
    assert lab.causes("scripts/train.py") == ["env-shadowed-module"]
    # `python -m` puts the working folder first: the same file is harmless.
    assert lab.causes(module="scripts.train") == []


def test_shadow_where_the_library_is_not_even_installed(lab: Any) -> None:
    lab.write("train.py", USES_DATASETS)
    lab.write("datasets.py", "class CsvDataset: ...")
    (root,) = lab.diagnose().root_causes
    assert root.name == "env-shadowed-module" and "not installed here" in root.title


def test_shadow_that_imports_itself(lab: Any) -> None:
    install_datasets(lab)
    lab.write("train.py", "from datasets import load_dataset")
    lab.write("datasets.py", "from datasets import load_dataset\nclass CsvDataset: ...")
    assert lab.causes()[0] == "env-shadowed-module"


def test_package_shadow_named_by_another_first_party_module(lab: Any) -> None:
    install_datasets(lab)
    lab.write("train.py", "import data")
    lab.write("data.py", "import datasets as hf\nhf.load_dataset('csv')")
    lab.write("datasets/__init__.py")
    (root,) = lab.diagnose().root_causes
    assert root.name == "env-shadowed-module" and root.location.file == "data.py"
    assert root.fix.commands == ("mv datasets local_datasets",)


def test_standard_library_shadow_that_only_others_meet(lab: Any) -> None:
    lab.install("trainer", "1.0", {"trainer/__init__.py": "import random\nrandom.shuffle([])"})
    lab.write("train.py", "import trainer")
    lab.write("random.py", "def choose(): ...")
    (root,) = lab.diagnose().root_causes
    assert root.name == "env-shadowed-module"
    assert "standard library's random" in root.title and root.severity == "error"


def test_standard_library_shadow_reached_through_the_standard_library(lab: Any) -> None:
    lab.write("train.py", "import tempfile")  # tempfile imports random
    lab.write("random.py", "def choose(): ...")
    assert lab.causes() == ["env-shadowed-module"]


def test_no_alarm_where_code_that_is_never_loaded_imports_the_name(lab: Any) -> None:
    lab.install("trainer", "1.0", {"trainer/__init__.py": "from . import core", "trainer/core.py": "",
                                   "trainer/plots.py": "import random"})  # fmt: skip
    lab.write("train.py", "import trainer")
    lab.write("random.py", "def choose(): ...")
    assert lab.causes() == []


@pytest.mark.parametrize(
    "files",
    [
        {"datasets/train.csv": "a,b"},  # a data folder loses to the installed package
        {"datasets/loader.py": ""},  # and so does one with modules but without __init__.py
        {"sub/datasets.py": ""},  # not on this run's path
        {"notes/datasets/__init__.py": ""},
        {"datasets.txt": "", "datasets.ipynb": ""},
    ],
)
def test_no_alarm_for_a_name_that_does_not_win(lab: Any, files: dict[str, str]) -> None:
    install_datasets(lab)
    lab.write("train.py", "from datasets import load_dataset")
    for name, text in files.items():
        lab.write(name, text)
    assert lab.causes() == []


def test_no_alarm_for_a_relative_import_of_an_own_module(lab: Any) -> None:
    install_datasets(lab)
    lab.write("pkg/__init__.py")
    lab.write("pkg/datasets.py", "class CsvDataset: ...")
    lab.write("pkg/train.py", "from .datasets import CsvDataset\nfrom datasets import load_dataset")
    assert lab.causes(module="pkg.train") == []


def test_no_alarm_for_an_own_module_that_serves_what_is_asked(lab: Any) -> None:
    lab.install("utils", "0.1", {"utils.py": "def other(): ..."})
    lab.write("utils.py", "def seed_everything(): ...")
    lab.write("profile.py", "def profile_model(): ...")
    lab.write("train.py", "from utils import seed_everything\nfrom profile import profile_model")
    assert lab.causes() == []


def test_no_alarm_for_the_project_that_is_itself_installed(lab: Any) -> None:
    lab.install("my-project", "1.0", {"mine/__init__.py": "def old(): ..."})
    lab.write("mine/__init__.py", "")
    lab.write("train.py", "import mine\nmine.old()")
    assert "env-shadowed-module" not in lab.causes()


def test_safe_path_makes_a_shadow_harmless(lab: Any) -> None:
    install_datasets(lab)
    lab.write("train.py", "from datasets import load_dataset")
    lab.write("datasets.py")
    assert lab.causes() == ["env-shadowed-module"]
    assert lab.causes(flags="I") == []


def test_no_alarm_for_names_that_no_file_can_take(lab: Any) -> None:
    # Built into the interpreter, or imported before the script starts.
    for name in ("time", "sys", "os", "io", "site"):
        lab.write(f"{name}.py")
    lab.write("train.py", "import os, sys, time, io, tempfile\ntime.sleep(0)")
    assert lab.causes() == []


# ── missing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_missing_import_names_the_distribution_and_the_interpreter(lab: Any) -> None:
    lab.write("train.py", "import json\nimport sklearn.metrics")
    (root,) = lab.diagnose().root_causes
    assert root.name == "env-import-missing" and root.location.line == 2
    assert root.fix.commands == (f"{lab.python} -m pip install scikit-learn",)


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    import wandb\nexcept ImportError:\n    wandb = None\nif wandb:\n    wandb.init()",
        "try:\n    import orjson as json\nexcept ImportError:\n    import json\njson.dumps(1)",
        "try:\n    import json as tomllib\nexcept ModuleNotFoundError:\n    import tomli as tomllib",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas",
        "import sys\nif sys.platform == 'win32':\n    import winreg, pywin32",
        "import contextlib\nwith contextlib.suppress(ImportError):\n    import rich",
        "HAS = True\ntry:\n    import wandb\nexcept ImportError:\n    HAS = False\n"
        "def log():\n    wandb.log({})\nif HAS:\n    log()",
        "try:\n    import wandb\nexcept ImportError:\n    wandb = None\n"
        "def log():\n    if wandb is None:\n        return\n    wandb.log()\nlog()",
    ],
)
def test_no_alarm_for_optional_imports(lab: Any, source: str) -> None:
    lab.write("train.py", source)
    assert lab.diagnose().status == "healthy"


def test_import_in_a_function_that_nothing_calls_is_told_and_no_alarm(lab: Any) -> None:
    lab.write("train.py", "def plot():\n    import matplotlib\n")
    found = lab.diagnose()
    assert (found.status, [(item.name, item.severity) for item in found.findings]) == (
        "healthy",
        [("env-import-missing", "info")],
    )
    lab.write(
        "train.py",
        "def plot():\n    import matplotlib\ndef main():\n    plot()\nif __name__ == '__main__':\n    main()",
    )
    assert lab.diagnose().root_causes[0].severity == "error"


def test_both_alternatives_missing(lab: Any) -> None:
    lab.write("train.py", "try:\n    import orjson as json\nexcept ImportError:\n    import ujson as json")
    assert lab.causes() == ["env-import-missing"]


def test_own_package_off_the_path(lab: Any) -> None:
    lab.write("src/mylib/__init__.py")
    lab.write("scripts/train.py", "import mylib")
    (root,) = lab.diagnose("scripts/train.py").root_causes
    assert root.name == "env-import-missing"
    assert "./src" in root.title and "pip install mylib" not in str(root.fix)
    lab.write("scripts/train.py", "import sys\nsys.path.insert(0, 'src')\nimport mylib")
    assert lab.causes("scripts/train.py") == []


def test_folder_without_init_is_no_library(lab: Any) -> None:
    lab.write("datasets/train.csv", "1")
    lab.write("train.py", "from datasets import load_dataset")
    (root,) = lab.diagnose().root_causes
    assert root.name == "env-import-missing" and "only the folder ./datasets" in root.title


def test_legitimate_namespace_package(lab: Any) -> None:
    lab.install("corp-a", "1", {"corp/a/__init__.py": "A = 1"})
    lab.write("corp/b.py", "B = 1")
    lab.write("train.py", "from corp.a import A\nfrom corp import b\nimport corp.b")
    assert lab.causes() == []


def test_relative_import_in_a_script(lab: Any) -> None:
    lab.write("pkg/__init__.py")
    lab.write("pkg/model.py")
    lab.write("pkg/train.py", "from .model import Net")
    (root,) = lab.diagnose("pkg/train.py").root_causes
    assert root.name == "env-import-missing" and root.fix.commands[0].endswith("-m pkg.train")


def test_missing_submodule_of_an_own_package(lab: Any) -> None:
    lab.write("model/__init__.py")
    lab.write("train.py", "from model.attention import Attention")
    (root,) = lab.diagnose().root_causes
    assert "model.attention" in root.title and root.name == "env-import-missing"


def test_editable_install_by_an_import_hook(lab: Any) -> None:
    lab.write("lib/source/engine/__init__.py", "def go(): ...")
    finder = f"MAPPING: dict[str, str] = {{'engine': {str(lab.work / 'lib/source/engine')!r}}}\n"
    lab.install("engine", "0.1", {"__editable___engine_0_1_finder.py": finder})
    (lab.site / "__editable__.engine-0.1.pth").write_text(
        "import __editable___engine_0_1_finder; __editable___engine_0_1_finder.install()\n"
    )
    lab.write("train.py", "import engine\nengine.go()")
    case = lab.examine()
    assert case.environment["imports"][0]["winner"]["origin"] == "editable-hook"
    assert lab.causes() == []


def test_edit_that_cannot_be_computed_leaves_the_import_open(lab: Any) -> None:
    lab.write("train.py", "import os, sys\nsys.path.append(os.environ['LIBS'])\nimport inhouse")
    lab.environ["LIBS"] = "/somewhere"
    diagnosis = lab.diagnose()
    assert not diagnosis.findings
    assert any(item.name == "env-import-missing" and "inhouse" in item.reason for item in diagnosis.not_checked)


# ── path edits ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_sys_path_edit_takes_an_old_copy(lab: Any) -> None:
    install_datasets(lab)
    lab.write("old/datasets/__init__.py", "class Old: ...")
    lab.write("train.py", "import sys\nsys.path.insert(0, 'old')\nfrom datasets import load_dataset")
    (root,) = lab.diagnose().root_causes
    assert root.name == "env-sys-path-edited" and root.severity == "error"
    assert (root.location.file, root.location.line) == ("train.py", 2)
    lab.write("train.py", "import sys\nsys.path.append('old')\nfrom datasets import load_dataset")
    assert lab.causes() == []


def test_pythonpath_into_another_environment(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    install_datasets(lab)
    other = lab.root / "other" / "lib" / "python3.9" / "site-packages"
    lab.install("datasets", "1.18.0", {"datasets/__init__.py": LOADS}, site=other)
    lab.write("train.py", "from datasets import load_dataset")
    assert lab.causes() == []
    monkeypatch.setenv("PYTHONPATH", str(other))
    causes = lab.diagnose().root_causes
    assert causes[0].name == "env-sys-path-edited" and "1.18.0" in causes[0].title and "4.0.0" in causes[0].title


def test_harmless_pythonpath(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    install_datasets(lab)
    lab.write("lib/helpers.py")
    lab.write("train.py", "import helpers\nfrom datasets import load_dataset")
    monkeypatch.setenv("PYTHONPATH", "lib:/nonexistent")
    assert lab.causes() == []


def test_assignment_that_drops_what_is_installed(lab: Any) -> None:
    install_datasets(lab)
    lab.write("train.py", "import sys\nsys.path = ['lib']\nfrom datasets import load_dataset")
    (root,) = lab.diagnose().root_causes
    assert root.name == "env-sys-path-edited" and root.location.line == 2


# ── interpreters ──────────────────────────────────────────────────────────────────────────────────────────────────


def other_venv(lab: Any, name: str) -> Path:
    folder: Path = lab.work / name
    site = folder / "lib" / "python3.9" / "site-packages"
    site.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(sys.executable)
    install_datasets(lab, site=site)
    return folder


def test_package_installed_in_the_environment_beside_the_script(lab: Any) -> None:
    folder = other_venv(lab, ".venv")
    lab.write("train.py", "from datasets import load_dataset")
    diagnosis = lab.diagnose()
    assert [item.name for item in diagnosis.root_causes] == ["env-wrong-interpreter"]
    assert diagnosis.root_causes[0].fix.commands == (f"{folder}/bin/python train.py",)
    install_datasets(lab)
    assert lab.causes() == []


def test_active_environment_that_is_not_used(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", str(other_venv(lab, "elsewhere/training")))
    lab.write("train.py", USES_DATASETS)
    (root,) = lab.diagnose().root_causes
    assert root.name == "env-wrong-interpreter" and root.severity == "warning"


# ── swallowed errors ──────────────────────────────────────────────────────────────────────────────────────────────


def test_swallowed_and_used(lab: Any) -> None:
    lab.write("train.py", "try:\n    import wandb\nexcept ImportError:\n    wandb = None\nwandb.init()")
    (root,) = lab.diagnose().root_causes
    assert root.name == "env-swallowed-import-error" and "line 5" in root.title


def test_handler_that_blames_the_wrong_module(lab: Any) -> None:
    lab.write(
        "train.py",
        "try:\n    from tools import flash\nexcept ImportError:\n    flash = None\n    print('tools is not installed')",
    )
    lab.write("tools.py", "import flash_attn\nflash = 1")
    (root,) = lab.diagnose().root_causes
    assert root.name == "env-swallowed-import-error" and root.severity == "warning"
    assert "tools.py:1 imports flash_attn" in root.title


def test_no_alarm_for_an_own_optional_module_with_a_silent_fallback(lab: Any) -> None:
    lab.write("train.py", "try:\n    from kernels import fast\nexcept ImportError:\n    fast = None\nif fast:\n    fast()")
    lab.write("kernels.py", "import triton\nfast = 1")
    assert lab.diagnose().status == "healthy"


# ── half installed ────────────────────────────────────────────────────────────────────────────────────────────────


def test_metadata_without_the_module(lab: Any) -> None:
    install_datasets(lab)
    lab.write("train.py", "from datasets import load_dataset")
    for file in sorted((lab.site / "datasets").iterdir()):
        file.unlink()
    (root,) = lab.diagnose().root_causes
    assert root.name == "env-broken-install" and "--force-reinstall" in root.fix.commands[0]
    (lab.site / "datasets").rmdir()
    assert lab.causes() == ["env-broken-install"]


def test_leftover_of_an_interrupted_pip(lab: Any) -> None:
    (lab.site / "~atasets").mkdir()
    lab.write("train.py", "from datasets import load_dataset")
    assert lab.causes() == ["env-broken-install"]
    install_datasets(lab)
    assert lab.causes() == []  # it is mentioned, at info level


def test_requirement_that_is_missing(lab: Any) -> None:
    lab.install("loader", "1.0", {"loader/__init__.py": "import pyarrow"}, requires=("pyarrow>=1", "extra; extra=='x'"))
    lab.write("train.py", "import loader")
    (root,) = lab.diagnose().root_causes
    assert root.name == "env-broken-install" and "without pyarrow" in root.title
    lab.install("pyarrow", "20.0")
    assert lab.causes() == []


def test_two_versions_of_one_distribution(lab: Any) -> None:
    install_datasets(lab)
    lab.write("train.py", "import datasets")
    assert lab.causes() == []
    lab.install("datasets", "2.0.0", {"datasets/__init__.py": LOADS, "datasets/load.py": ""})
    assert lab.causes() == ["env-duplicate-distribution"]


# ── robustness ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("data", [b"", b"\x00\x01", b"def broken(:\n", b"\xff\xfe\xfa", b"# -*- coding: klingon -*-\n"])
def test_scripts_that_cannot_be_read(lab: Any, data: bytes) -> None:
    (lab.work / "train.py").write_bytes(data)
    case = lab.examine()
    assert case.info["kind"] == "script"


def test_source_is_kept(lab: Any) -> None:
    lab.write("scripts/train.py", "import helper")
    lab.write("scripts/helper.py", "X = 1")
    case = lab.examine("scripts/train.py")
    assert sorted(case.source) == ["helper.py", "train.py"]

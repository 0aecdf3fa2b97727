"""The story that this tool began with, told by the real `datasets`: examined where it is installed, and never imported."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Any

import pytest

both = pytest.mark.parametrize("faulty", [True, False], ids=["faulty", "healthy"])
SCRIPT = """try:
    from datasets import load_dataset
except ImportError:
    print("datasets is not available, using synthetic data")
    load_dataset = None
"""
REAL = version("datasets")


@pytest.fixture(autouse=True)
def not_imported_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever test ran before in this process may have imported it; here nothing has, so an import shows."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "datasets"]:
        monkeypatch.delitem(sys.modules, name)


def expect(lab: Any, cause: str, faulty: bool, *says: str, **options: Any) -> None:
    lab.expect(cause, faulty, *says, python=sys.executable, **options)
    assert "datasets" not in sys.modules


@both
@pytest.mark.parametrize("folder", ["", "scripts/"])
def test_script_beside_a_file_of_that_name(lab: Any, faulty: bool, folder: str) -> None:
    """The first report: `datasets.py` stands beside the script."""
    lab.write(f"{folder}datasets.py" if faulty else f"{folder}csv_datasets.py", "rows = []")
    lab.write(f"{folder}train_phase1.py", SCRIPT)
    says = (f"./{folder}datasets.py", f"datasets {REAL}", "own folder first")
    expect(lab, "env-shadowed-module", faulty, *says, script=f"{folder}train_phase1.py")


@both
def test_module_run_from_a_folder_with_a_package_of_that_name(lab: Any, faulty: bool) -> None:
    """`python -m`: the working folder leads, so a package there counts, and one beside the module does not."""
    lab.write("datasets/__init__.py" if faulty else "training/datasets/__init__.py", "")
    lab.write("training/__init__.py")
    lab.write("training/train.py", SCRIPT)
    expect(lab, "env-shadowed-module", faulty, f"datasets {REAL}", module="training.train")


def test_folder_of_data_does_no_harm(lab: Any) -> None:
    """A folder without __init__.py is no rival of an installed package, wherever it lies on the path."""
    lab.write("datasets/train.csv", "a,b\n")
    lab.write("train.py", SCRIPT)
    expect(lab, "", False)
    expect(lab, "", False, module="train")


def test_folder_of_data_takes_the_place_of_a_package_that_is_off_the_path(lab: Any) -> None:
    """-S leaves site-packages out: now the folder is all there is, and `datasets` imports as an empty namespace."""
    lab.write("datasets/train.csv", "a,b\n")
    lab.write("train.py", SCRIPT)
    expect(lab, "env-path-switched-off", True, "-S", flags="S")


@both
def test_notebook_in_a_folder_with_a_notebook_helper(lab: Any, faulty: bool) -> None:
    """The kernel starts in the notebook's folder."""
    lab.write("notebooks/datasets.py" if faulty else "datasets.py", "rows = []")
    cells = [{"cell_type": "code", "source": ["%matplotlib inline\n", "from datasets import load_dataset\n"], "metadata": {}}]
    lab.write("notebooks/explore.ipynb", json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    expect(lab, "env-shadowed-module", faulty, f"datasets {REAL}", script="notebooks/explore.ipynb")


def test_who_says_what(lab: Any) -> None:
    """The contradiction side by side: the command fails where `python -c` and `pip list` do not."""
    lab.write("scripts/datasets.py", "rows = []")
    lab.write("scripts/train_phase1.py", SCRIPT)
    diagnosis = lab.diagnose("scripts/train_phase1.py", python=sys.executable)
    command, code, pip = diagnosis.views
    assert [view.who for view in diagnosis.views] == ["command", "python -c", "pip list"]
    assert (command.first, command.sees) == (str(lab.work / "scripts"), str(lab.work / "scripts" / "datasets.py"))
    assert command.fails == "it holds no load_dataset"
    assert command.says == "datasets is not available, using synthetic data"
    assert (code.first, code.version) == (str(lab.work), f"datasets {REAL}")
    assert pip.version == f"datasets {REAL}"


def test_who_says_what_in_every_format(lab: Any) -> None:
    import io

    from cognate.render import markdown, terminal

    lab.write("datasets.py", "rows = []")
    lab.write("train.py", SCRIPT)
    diagnosis = lab.diagnose(python=sys.executable)
    for text in (terminal.render(diagnosis, io.StringIO()), markdown.render(diagnosis)):
        table = text[text.index("Who says what about datasets") :].splitlines()
        assert any("the command" in row and "datasets.py" in row and "using synthetic data" in row for row in table)
        assert any("`pip list`" in row and f"datasets {REAL}" in row for row in table)
    assert {view["who"] for view in json.loads(diagnosis.to_json())["views"]} == {"command", "python -c", "pip list"}


def test_another_environment_speaks_for_itself(lab: Any) -> None:
    """Installed in the .venv beside the code, run by another Python."""
    site = lab.environment(lab.work / ".venv")
    lab.install("evaluate", "0.4.3", {"evaluate/__init__.py": "def load(): ..."}, site=site)
    lab.write("train.py", "#!/usr/bin/env python\nimport evaluate")
    diagnosis = lab.diagnose()
    told = {view.who: (view.sees, view.version, view.fails) for view in diagnosis.views}
    assert told["command"] == (None, None, "No module named evaluate")
    assert told["pip list"] == (None, None, None)
    assert told[f"{lab.work}/.venv beside the code"] == (str(site / "evaluate"), "evaluate 0.4.3", None)


def test_no_table_where_all_agree(lab: Any) -> None:
    lab.write("train.py", "import nowhere_to_be_found")
    assert lab.diagnose().root_causes
    assert lab.diagnose().views == ()
    lab.write("train.py", "import json")
    assert lab.diagnose().views == ()

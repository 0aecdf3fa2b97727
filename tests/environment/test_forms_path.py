"""Other forms of the same causes: what the path makes of an import, and look-alikes that are healthy."""

from __future__ import annotations

import zipfile
from typing import Any

import pytest

Form = tuple[str, dict[str, Any]]  # (the first root cause, "" for none; how it is examined)
TORCH = {
    "torch/__init__.py": "from torch import cuda, nn, utils\ndef zeros(*size): ...",
    "torch/nn.py": "class Module: ...",
    "torch/cuda.py": "def is_available(): ...",
    "torch/utils/__init__.py": "",
    "torch/version.py": "cuda = '12.1'",
}


def faulty_random_py_stdlib(lab: Any) -> Form:
    """A helper called random.py stops what torch imports."""
    lab.install("torch", "2.4.0", {"torch/__init__.py": "import random\nrandom.Random()\n"})
    lab.write("random.py", "def pick(): ...")
    lab.write("train.py", "import torch")
    return "env-shadowed-module", {}


def faulty_types_py_indirect(lab: Any) -> Form:
    """secrets.py holds a key; only an installed package imports the standard module of that name."""
    lab.install("aiolib", "1", {"aiolib/__init__.py": "from secrets import token_hex\n"})
    lab.write("secrets.py", "API_KEY='x'")
    lab.write("train.py", "import aiolib")
    return "env-shadowed-module", {}


def faulty_chdir_append(lab: Any) -> Form:
    """A module that is imported first puts a vendored copy in front by a slice."""
    lab.install("tokenizers", "0.21", {"tokenizers/__init__.py": "class Tokenizer: ..."})
    lab.write("vendor/tokenizers.py", "VERSION=1")
    lab.write(
        "setup_paths.py",
        ("import os, sys\nHERE=os.path.dirname(os.path.abspath(__file__))\nsys.path[:0]=[os.path.join(HERE,'vendor')]"),
    )
    lab.write("train.py", "import setup_paths\nfrom tokenizers import Tokenizer")
    return "env-sys-path-edited", {}


def faulty_symlink_script(lab: Any) -> Form:
    """The script is a link: Python puts the folder of its target first."""
    lab.install("evaluate", "0.4", {"evaluate/__init__.py": "def load(): ..."})
    lab.write("real/evaluate.py", "x=1")
    lab.write("real/run.py", "from evaluate import load")
    (lab.work / "train.py").symlink_to("real/run.py")
    return "env-shadowed-module", {}


def faulty_deep_import(lab: Any) -> Form:
    """Not the script but a module of its own asks for the shadowed package."""
    lab.install("datasets", "4.0", {"datasets/__init__.py": "def load_dataset(): ..."})
    lab.write("datasets/__init__.py", "class MyData: ...")
    lab.write("data/loader.py", "from datasets import load_dataset")
    lab.write("data/__init__.py")
    lab.write("train.py", "from data.loader import load_dataset")
    return "env-shadowed-module", {}


def faulty_submodule_of_shadow(lab: Any) -> Form:
    """The local package is empty, and a submodule of the installed one is asked for."""
    lab.install("tensorboard", "2", {"tensorboard/__init__.py": "", "tensorboard/plugins/__init__.py": ""})
    lab.write("tensorboard/__init__.py", "")
    lab.write("train.py", "import tensorboard.plugins")
    return "env-shadowed-module", {}


def faulty_queue_indirect(lab: Any) -> Form:
    """Two levels down in an installed package."""
    lab.install(
        "torch",
        "2.4.0",
        {
            "torch/__init__.py": "from torch import utils",
            "torch/utils/__init__.py": "import queue\nqueue.Queue\nfrom queue import Queue",
        },
    )
    lab.write("queue.py", "jobs=[]")
    lab.write("train.py", "import torch")
    return "env-shadowed-module", {}


def faulty_zip_on_pythonpath(lab: Any) -> Form:
    """An archive on PYTHONPATH holds an old copy."""
    lab.install("evaluate", "0.4", {"evaluate/__init__.py": "def load(): ..."})
    z = lab.root / "old.zip"
    with zipfile.ZipFile(z, "w") as f:
        f.writestr("evaluate.py", "x=1")
    lab.environ["PYTHONPATH"] = str(z)
    lab.write("train.py", "from evaluate import load")
    return "env-sys-path-edited", {}


def faulty_path_cleared(lab: Any) -> Form:
    """sys.path is assigned anew."""
    lab.install("einops", "0.8")
    lab.write("train.py", "import sys\nsys.path = ['/opt/libs']\nimport einops")
    return "env-sys-path-edited", {}


def faulty_pth_file(lab: Any) -> Form:
    """A .pth line of code puts an old copy in front."""
    lab.install("peft", "0.15", {"peft/__init__.py": "class LoraConfig: ..."})
    (lab.root / "old/peft").mkdir(parents=True)
    (lab.root / "old/peft/__init__.py").write_text("x=1")
    (lab.site / "aaa.pth").write_text(f"import sys; sys.path.insert(0, {str(lab.root / 'old')!r})\n")
    lab.write("train.py", "from peft import LoraConfig")
    return "env-sys-path-edited", {}


def faulty_pythonpath_order(lab: Any) -> Form:
    """PYTHONPATH holds a fork."""
    lab.install("transformers", "4.50", {"transformers/__init__.py": "class Trainer: ..."})
    (lab.root / "fork/transformers").mkdir(parents=True)
    (lab.root / "fork/transformers/__init__.py").write_text("__version__='4.0'")
    lab.environ["PYTHONPATH"] = f"{lab.root}/none:{lab.root}/fork"
    lab.write("train.py", "from transformers import Trainer")
    return "env-sys-path-edited", {}


def faulty_wrong_dist(lab: Any) -> Form:
    """The distribution jwt is installed, the code is written for PyJWT."""
    lab.install("jwt", "1.3", {"jwt/__init__.py": "class JWT: ..."})
    lab.write("train.py", "import jwt\njwt.encode({}, 'k')\nfrom jwt import encode")
    return "env-name-missing", {}


def faulty_shadow_in_method(lab: Any) -> Form:
    """The import stands in a method that is called."""
    lab.install("evaluate", "0.4", {"evaluate/__init__.py": "def load(): ..."})
    lab.write("evaluate.py", "x=1")
    lab.write("train.py", ("class T:\n    def run(self):\n        from evaluate import load\n        load()\nT().run()"))
    return "env-shadowed-module", {}


def faulty_missing_in_helper_fn(lab: Any) -> Form:
    """The import stands in a function of another file."""
    lab.write("helpers.py", "def plot():\n    import seaborn\n")
    lab.write("train.py", "import helpers\nhelpers.plot()")
    return "env-import-missing", {}


def faulty_importlib_missing(lab: Any) -> Form:
    """Imported by a call."""
    lab.write("train.py", "import importlib\nm = importlib.import_module('omegaconf')")
    return "env-import-missing", {}


def faulty_stdlib_removed_dep(lab: Any) -> Form:
    """An installed package asks for a name that typing has from 3.12 on."""
    lab.install("newlib", "1", {"newlib/__init__.py": "from typing import override\n"})
    lab.write("train.py", "import newlib")
    return "env-python-version", {}


def faulty_stdlib_new_name(lab: Any) -> Form:
    """The script asks for a name that warnings has from 3.13 on."""
    lab.write("train.py", "from warnings import deprecated\n")
    return "env-python-version", {}


def faulty_torchrun_elsewhere(lab: Any) -> Form:
    """torchrun on PATH belongs to another environment."""
    other = lab.root / "base"
    s = lab.environment(other)
    lab.install("torch", "2.4.0", TORCH, site=s)
    t = other / "bin/torchrun"
    t.write_text(f"#!{other}/bin/python\nimport sys\n")
    t.chmod(493)
    lab.install("torch", "2.4.0", TORCH)
    lab.install("datasets", "4.0", {"datasets/__init__.py": "def load_dataset(): ..."})
    lab.environ["PATH"] = f"{other}/bin"
    lab.environ["VIRTUAL_ENV"] = str(lab.venv)
    lab.write("train.py", "import torch\nfrom datasets import load_dataset")
    return "env-wrong-interpreter", {"words": ["torchrun", "--nproc_per_node=2", "train.py"]}


def faulty_env_bang(lab: Any) -> Form:
    """`#!/usr/bin/env python` takes the first python on PATH."""
    other = lab.root / "sys"
    lab.environment(other)
    lab.install("peft", "0.15")
    lab.environ["PATH"] = f"{other}/bin"
    lab.environ["VIRTUAL_ENV"] = str(lab.venv)
    p = lab.write("train.py", "#!/usr/bin/env python\nimport peft")
    p.chmod(493)
    return "env-wrong-interpreter", {"words": ["./train.py"]}


def faulty_nouser_I(lab: Any) -> Form:
    """-E switches PYTHONPATH off, which the project needs."""
    lab.write("mylib/__init__.py", "X=1")
    lab.write("run/train.py", "from mylib import X")
    lab.environ["PYTHONPATH"] = str(lab.work)
    return "env-path-switched-off", {"words": [lab.python, "-E", "run/train.py"]}


def faulty_circ_self(lab: Any) -> Form:
    """A module imports the script that imports it."""
    lab.write("data.py", "from train import CONFIG\ndef get(): ...")
    lab.write("train.py", "from data import get\nCONFIG={}\n")
    return "env-circular-import", {}


def faulty_flag_module(lab: Any) -> Form:
    """The handler stands in another module and blames the package."""
    lab.install("datasets", "4.0", {"datasets/__init__.py": "def load_dataset(): ..."})
    lab.write("datasets.py", "class X: ...")
    lab.write(
        "common.py",
        (
            "try:\n"
            "    import datasets\n"
            "    datasets.load_dataset\n"
            "    OK=True\n"
            "except (ImportError, AttributeError):\n"
            "    OK=False"
        ),
    )
    lab.write("train.py", ("from common import OK\nif not OK:\n    raise SystemExit('pip install datasets')"))
    return "env-shadowed-module", {}


def faulty_tests_conftest(lab: Any) -> Form:
    """`python -m pytest` puts the working folder on the path."""
    lab.install("evaluate", "0.4", {"evaluate/__init__.py": "def load(): ..."})
    lab.write("evaluate.py", "x=1")
    lab.write("tests/conftest.py")
    lab.write("tests/test_a.py", "from evaluate import load\ndef test_a(): ...")
    return "env-shadowed-module", {"words": [lab.python, "-m", "pytest", "tests"]}


def healthy_wandb_output(lab: Any) -> Form:
    """wandb's own output folder."""
    lab.install("wandb", "0.17", {"wandb/__init__.py": "def init(): ..."})
    lab.write("wandb/run-1/files/x.txt", "a")
    lab.write("train.py", "import wandb\nwandb.init()")
    return "", {}


def healthy_lazy(lab: Any) -> Form:
    """An import in a function that nothing calls."""
    lab.write("train.py", "def export(m):\n    import onnx\n    return onnx\nprint(1)")
    return "", {}


def healthy_flag(lab: Any) -> Form:
    """An import under an option that is off."""
    lab.write(
        "train.py",
        (
            "import argparse\n"
            "p=argparse.ArgumentParser(); p.add_argument('--wandb',action='store_true'); a=p.parse_args()\n"
            "if a.wandb:\n"
            "    import wandb\n"
        ),
    )
    return "", {}


def healthy_safe(lab: Any) -> Form:
    """PYTHONSAFEPATH keeps the file away."""
    lab.environ["PYTHONSAFEPATH"] = "1"
    lab.install("datasets", "4.0", {"datasets/__init__.py": "def load_dataset(): ..."})
    lab.write("datasets.py", "")
    lab.write("train.py", "from datasets import load_dataset")
    return "", {}


def healthy_find_spec(lab: Any) -> Form:
    """Asked for before it is imported."""
    lab.write(
        "train.py", ("import importlib.util\nif importlib.util.find_spec('flash_attn') is not None:\n    import flash_attn\n")
    )
    return "", {}


def healthy_tomllib(lab: Any) -> Form:
    """One branch for each version."""
    lab.write(
        "train.py", ("import sys\nif sys.version_info >= (3, 11):\n    import tomllib\nelse:\n    import tomli as tomllib\n")
    )
    return "", {}


def healthy_own_name_editable(lab: Any) -> Form:
    """The project is the package."""
    (lab.work / "pyproject.toml").write_text('[project]\nname="evaluate"\n')
    lab.write("evaluate/__init__.py", "def load(): ...")
    lab.install("evaluate", "0.1", {"evaluate/__init__.py": "def load(): ..."})
    lab.write("train.py", "from evaluate import load")
    return "", {}


def healthy_contextlib(lab: Any) -> Form:
    """suppress(ImportError)."""
    lab.write("train.py", ("import contextlib\nwith contextlib.suppress(ImportError):\n    import rich_argparse\n"))
    return "", {}


def healthy_same_name_dunder_main(lab: Any) -> Form:
    """A folder with only a __main__.py is no package of that name."""
    lab.install("evaluate", "0.4", {"evaluate/__init__.py": "def load(): ..."})
    lab.write("evaluate/__main__.py", "from evaluate import load")
    lab.write("train.py", "from evaluate import load")
    return "", {}


def healthy_try_else(lab: Any) -> Form:
    """The else branch remembers that it worked."""
    lab.write("train.py", ("try:\n    import deepspeed\nexcept ImportError:\n    HAS = False\nelse:\n    HAS = True\nprint(HAS)"))
    return "", {}


def healthy_getattr(lab: Any) -> Form:
    """Names are made when they are asked for."""
    lab.install("transformers", "4.50", {"transformers/__init__.py": "import sys\ndef __getattr__(name): ...\n"})
    lab.write("train.py", "from transformers import AutoModel, Trainer")
    return "", {}


def healthy_no_shadow_when_module_run(lab: Any) -> Form:
    """With -m the module's own folder is not on the path."""
    lab.install("datasets", "4.0", {"datasets/__init__.py": "def load_dataset(): ..."})
    lab.write("app/__init__.py")
    lab.write("app/datasets.py", "class A: ...")
    lab.write("app/train.py", "from datasets import load_dataset\nfrom app.datasets import A")
    return "", {"module": "app.train"}


def healthy_method_lazy(lab: Any) -> Form:
    """A method that nothing calls."""
    lab.write("train.py", ("class E:\n    def export(self):\n        import onnx\n    def run(self):\n        pass\nE().run()"))
    return "", {}


def healthy_subclass_lazy_guard(lab: Any) -> Form:
    """An import under a value that is not given."""
    lab.write("train.py", ("def save(x, kind='json'):\n    if kind == 'yaml':\n        import yaml\n    return x\nsave(1)"))
    return "", {}


def healthy_reexport(lab: Any) -> Form:
    """Names are copied in by a call."""
    lab.install(
        "lib",
        "1",
        {
            "lib/__init__.py": ("import importlib\nglobals().update(vars(importlib.import_module('lib.core')))"),
            "lib/core.py": "def go(): ...",
        },
    )
    lab.write("train.py", "from lib import go")
    return "", {}


def healthy_all_lazy(lab: Any) -> Form:
    """__getattr__ is assigned, as lazy_loader does."""
    lab.install(
        "lib",
        "1",
        {
            "lib/__init__.py": ("from lib._lazy import attach\n__getattr__, __dir__, __all__ = attach(__name__)"),
            "lib/_lazy.py": "def attach(n): ...",
        },
    )
    lab.write("train.py", "from lib import anything")
    return "", {}


def healthy_config_py(lab: Any) -> Form:
    """A local file that serves all that is asked of it."""
    lab.write("config.py", "LR=1")
    lab.install("config", "0.5", {"config/__init__.py": "class Config: ..."})
    lab.write("train.py", "from config import LR")
    return "", {}


def healthy_pth_coverage(lab: Any) -> Form:
    """Lines of code that packaging tools leave in .pth files."""
    (lab.site / "distutils-precedence.pth").write_text(
        "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; "
        "enabled and __import__('_distutils_hack').add_shim();\n"
    )
    (lab.site / "a1_coverage.pth").write_text("import sys; exec('try: import coverage\nexcept ImportError: pass')\n")
    lab.write("train.py", "print(1)")
    return "", {}


FORMS = {name: form for name, form in globals().items() if name.startswith(("faulty_", "healthy_"))}


@pytest.mark.parametrize("name", FORMS)
def test_root_cause_first_and_no_false_alarm(lab: Any, name: str) -> None:
    cause, options = FORMS[name](lab)
    told = [(item.name, item.title) for item in lab.diagnose(**options).root_causes]
    assert told[0][0] == cause if cause else not told, told

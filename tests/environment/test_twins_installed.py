"""Causes on faulty and healthy twins: installations that are damaged, outdated or do not go together."""

from __future__ import annotations

import json
import struct
import sys
from typing import Any

import pytest

both = pytest.mark.parametrize("faulty", [True, False], ids=["faulty", "healthy"])
MINOR = sys.version_info[1]
SUFFIX = f"cpython-3{MINOR}-x86_64-linux-gnu.so"


def elf(machine: int = 62, size: int = 4096) -> bytes:
    """The least that looks like an ELF library of 64 bits, with its section table inside the file."""
    ident = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    head = ident + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 0, 3000, 0, 64, 0, 0, 64, 4, 0)
    return (head + b"\0" * 4096)[:size]


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@both
def test_metadata_without_module(lab: Any, faulty: bool) -> None:
    """pip lists it, and its folder is gone."""
    lab.install("datasets", "4.0.0", {"datasets/__init__.py": "def load_dataset(): ..."})
    lab.write("train.py", "from datasets import load_dataset")
    if faulty:
        (lab.site / "datasets" / "__init__.py").unlink()
        (lab.site / "datasets").rmdir()
    lab.expect("env-broken-install", faulty, "datasets 4.0.0")


@both
def test_another_pythons_extension(lab: Any, faulty: bool) -> None:
    """The compiled core is tagged for Python 3.9."""
    name = f"tokenizers/_core.{'cpython-39-x86_64-linux-gnu.so' if faulty else SUFFIX}"
    lab.install("tokenizers", "0.21.0", {"tokenizers/__init__.py": "from ._core import Tokenizer", name: elf()})
    lab.write("train.py", "import tokenizers")
    lab.expect("env-extension-abi", faulty, "Python 3.9")


@both
def test_wheel_of_another_python(lab: Any, faulty: bool) -> None:
    """The WHEEL file says what it was built for."""
    wheel = "cp39-cp39-manylinux_2_17_x86_64" if faulty else f"cp3{MINOR}-cp3{MINOR}-manylinux_2_17_x86_64"
    lab.install("pyarrow", "20.0.0", {"pyarrow/__init__.py": ""}, wheel=wheel)
    lab.write("train.py", "import pyarrow")
    lab.expect("env-extension-abi", faulty, "Python 3.9")


@both
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (elf(183), "aarch64"),
        (elf(size=2000), "file too short"),
        (b"version https://git-lfs.github.com/spec/v1\n", "LFS"),
    ],
)
def test_damaged_extension(lab: Any, faulty: bool, data: bytes, words: str) -> None:
    """The library is empty, for another processor, cut short, or a pointer."""
    core = f"safetensors/_core.{SUFFIX}"
    lab.install("safetensors", "0.5", {"safetensors/__init__.py": "from ._core import load", core: data if faulty else elf()})
    lab.write("train.py", "import safetensors")
    lab.expect("env-extension-damaged", faulty, words)


@both
def test_emptied_module(lab: Any, faulty: bool) -> None:
    """A full disk left an __init__.py of 0 bytes."""
    lab.install("peft", "0.15.0", {"peft/__init__.py": "class LoraConfig: ..."})
    if faulty:
        (lab.site / "peft" / "__init__.py").write_text("")
    lab.write("train.py", "from peft import LoraConfig")
    lab.expect("env-extension-damaged", faulty, "empty")


@both
def test_unreadable_package(lab: Any, faulty: bool) -> None:
    """Nobody may enter the package's folder."""
    lab.install("einops", "0.8.0", {"einops/__init__.py": "def rearrange(): ..."})
    lab.write("train.py", "import einops")
    folder = lab.site / "einops"
    folder.chmod(0o000 if faulty else 0o755)
    try:
        lab.expect("env-unreadable-file", faulty, "permissions")
    finally:
        folder.chmod(0o755)


@both
def test_link_into_a_cleaned_store(lab: Any, faulty: bool) -> None:
    """The package is a link to a store whose files are gone."""
    lab.install("einops", "0.8.0", {"einops/__init__.py": ""})
    if faulty:
        (lab.site / "einops" / "__init__.py").unlink()
        (lab.site / "einops" / "__init__.py").symlink_to("/opt/store/gone/__init__.py")
    lab.write("train.py", "import einops")
    lab.expect("env-unreadable-file", faulty, "/opt/store/gone")


@both
def test_editable_of_a_moved_checkout(lab: Any, faulty: bool) -> None:
    """pip install -e points to a folder that was renamed."""
    source = lab.work / "engine"
    (source / "engine").mkdir(parents=True)
    (source / "engine" / "__init__.py").write_text("def go(): ...")
    url = json.dumps({"url": f"file://{source}", "dir_info": {"editable": True}})
    lab.install("engine", "0.1", {"__editable__.engine-0.1.pth": str(source) + "\n"}, direct_url=url)
    lab.write("train.py", "import engine\nengine.go()")
    if faulty:
        source.rename(lab.work / "engine-v2")
    lab.expect("env-stale-editable", faulty, "engine 0.1")


@both
def test_two_owners_of_one_module(lab: Any, faulty: bool) -> None:
    """opencv-python and its headless twin overwrite each other."""
    lab.install("opencv-python", "4.9.0", {"cv2/__init__.py": "def imread(): ..."})
    if faulty:
        lab.install("opencv-python-headless", "4.8.0", {"cv2/__init__.py": "def imread(): ..."})
    lab.write("train.py", "import cv2")
    lab.expect("env-name-collision", faulty, "opencv-python", "headless")


@both
def test_merge_marks_in_an_installed_file(lab: Any, faulty: bool) -> None:
    """Somebody edited site-packages and left a merge unfinished."""
    marks = "<<<<<<< HEAD\nX = 1\n=======\nX = 2\n>>>>>>> other\n" if faulty else "X = 1\n"
    lab.install("trainer", "1.0", {"trainer/__init__.py": "from .core import X", "trainer/core.py": marks})
    lab.write("train.py", "import trainer")
    lab.expect("env-source-syntax", faulty, "merge")


@both
def test_version_read_without_metadata(lab: Any, faulty: bool) -> None:
    """The module lies there as a bare copy."""
    lab.install("engine", "1.0", {"engine/__init__.py": ""})
    if faulty:
        for file in (lab.site / "engine-1.0.dist-info").iterdir():
            file.unlink()
        (lab.site / "engine-1.0.dist-info").rmdir()
    lab.write("train.py", "import engine\nfrom importlib.metadata import version\nprint(version('engine'))")
    lab.expect("env-metadata-missing", faulty, "engine")


# ── what they need of each other ──────────────────────────────────────────────────────────────────────────────────


@both
def test_missing_link_behind_a_handler(lab: Any, faulty: bool) -> None:
    """The handler says that datasets is missing; what is missing is a requirement of it."""
    lab.install(
        "datasets",
        "4.0.0",
        {"datasets/__init__.py": "from .load import load_dataset", "datasets/load.py": "import xxhash\ndef load_dataset(): ..."},
    )
    if not faulty:
        lab.install("xxhash", "3.5")
    lab.write(
        "train.py",
        "try:\n    from datasets import load_dataset\nexcept ImportError:\n    print('datasets is not installed')\n   "
        " load_dataset = None",
    )
    lab.expect("env-broken-transitive", faulty, "datasets 4.0.0 is installed", "xxhash")


@both
def test_missing_requirement(lab: Any, faulty: bool) -> None:
    """Installed with --no-deps."""
    lab.install("loader", "1.0", {"loader/__init__.py": "import pyarrow"}, requires=("pyarrow>=1",))
    if not faulty:
        lab.install("pyarrow", "20.0")
    lab.write("train.py", "import loader")
    lab.expect("env-broken-install", faulty, "without pyarrow")


@both
def test_pinned_tokenizers(lab: Any, faulty: bool) -> None:
    """transformers pins tokenizers, and something else upgraded it."""
    lab.install(
        "transformers", "4.40.0", {"transformers/__init__.py": "class AutoModel: ..."}, requires=("tokenizers<0.20,>=0.19",)
    )
    lab.install("tokenizers", "0.21.0" if faulty else "0.19.1")
    lab.write("train.py", "from transformers import AutoModel")
    lab.expect("env-version-conflict", faulty, "tokenizers 0.21.0")


@both
def test_old_datasets_and_new_pyarrow(lab: Any, faulty: bool) -> None:
    """pyarrow 21 removed PyExtensionType."""
    lab.install("datasets", "2.10.0", {"datasets/__init__.py": "def load_dataset(): ..."}, requires=("pyarrow>=6",))
    lab.install("pyarrow", "21.0.0" if faulty else "20.0.0")
    lab.write("train.py", "from datasets import load_dataset")
    lab.expect("env-version-conflict", faulty, "PyExtensionType")


@both
@pytest.mark.parametrize(
    ("name", "fits", "off"),
    [("torchvision", "0.19.0", "0.15.2"), ("torchaudio", "2.4.1", "2.1.0"), ("torchvision", "0.19.0+cpu", "0.19.0+cu121")],
)
def test_companions_of_torch(lab: Any, faulty: bool, name: str, fits: str, off: str) -> None:
    """torchvision and torchaudio go with one torch."""
    lab.install("torch", "2.4.0+cpu")
    lab.install(name, off if faulty else fits)
    lab.write("train.py", f"import torch\nimport {name}")
    lab.expect("env-torch-companions", faulty, name, "torch 2.4.0")


@both
@pytest.mark.parametrize("requires", [(), ("numpy<2,>=1.20",)])
def test_compiled_against_numpy_1(lab: Any, faulty: bool, requires: tuple[str, ...]) -> None:
    """An old pandas under NumPy 2."""
    lab.install("pandas", "1.5.3", {"pandas/__init__.py": ""}, requires=requires)
    lab.install("numpy", "2.1.0" if faulty else "1.26.4")
    lab.write("train.py", "import numpy as np\nimport pandas as pd")
    lab.expect("env-numpy-abi", faulty, "pandas 1.5.3", "NumPy 2.1.0")


@both
def test_projects_own_pin(lab: Any, faulty: bool) -> None:
    """requirements.txt asks for another version."""
    lab.install("datasets", "1.18.0" if faulty else "2.14.5", {"datasets/__init__.py": "def load_dataset(): ..."})
    lab.write("requirements.txt", "torch\ndatasets>=2.14  # load_dataset\n-r more.txt\n")
    lab.write("train.py", "from datasets import load_dataset")
    lab.expect("env-project-requirement", faulty, "1.18.0", "./requirements.txt")


@both
def test_name_that_a_version_lacks(lab: Any, faulty: bool) -> None:
    """load_metric left datasets."""
    lab.install(
        "datasets", "4.0.0", {"datasets/__init__.py": "def load_dataset(): ...\n" + ("" if faulty else "def load_metric(): ...")}
    )
    lab.write("train.py", "from datasets import load_dataset, load_metric")
    lab.expect("env-name-missing", faulty, "load_metric", "datasets 4.0.0")


@both
def test_submodule_that_a_version_lacks(lab: Any, faulty: bool) -> None:
    """transformers.modeling_bert moved."""
    files = {"transformers/__init__.py": "", "transformers/models/__init__.py": "", "transformers/models/bert.py": ""}
    lab.install("transformers", "5.0.0", files)
    lab.write("train.py", "import transformers.modeling_bert" if faulty else "import transformers.models.bert")
    lab.expect("env-name-missing", faulty, "transformers.modeling_bert", "transformers 5.0.0")


@both
def test_name_that_one_package_misses_in_another(lab: Any, faulty: bool) -> None:
    """diffusers imports cached_download, which huggingface_hub removed."""
    lab.install("diffusers", "0.20.0", {"diffusers/__init__.py": "from huggingface_hub import cached_download"})
    lab.install(
        "huggingface-hub",
        "0.30.0",
        {"huggingface_hub/__init__.py": "def hf_hub_download(): ..." + ("" if faulty else "\ndef cached_download(): ...")},
    )
    lab.write("train.py", "import diffusers")
    lab.expect("env-name-missing", faulty, "cached_download", "huggingface_hub")


@both
def test_extra_of_a_requirement(lab: Any, faulty: bool) -> None:
    """requirements.txt asks for datasets[audio], and the extra's packages are missing."""
    lab.install("datasets", "4.0.0", {"datasets/__init__.py": "class Audio: ..."}, requires=("soundfile; extra == 'audio'",))
    lab.write("requirements.txt", "datasets[audio]\n")
    if not faulty:
        lab.install("soundfile", "0.12")
    lab.write("train.py", "from datasets import Audio")
    lab.expect("env-extra-missing", faulty, "datasets[audio]", "soundfile")


@both
def test_call_that_needs_another_package(lab: Any, faulty: bool) -> None:
    """device_map='auto' needs accelerate."""
    lab.install("transformers", "4.50.0", {"transformers/__init__.py": "class AutoModel: ..."})
    if not faulty:
        lab.install("accelerate", "1.0")
    lab.write("train.py", "from transformers import AutoModel\nm = AutoModel.from_pretrained('./m', device_map='auto')")
    lab.expect("env-extra-missing", faulty, "accelerate")


@both
def test_cpu_build(lab: Any, faulty: bool) -> None:
    """A wheel without CUDA where a GPU is asked for."""
    lab.install("torch", "2.4.0+cpu", {"torch/__init__.py": "", "torch/version.py": "cuda: Optional[str] = None\n"})
    ask = "torch.device('cuda')" if faulty else "torch.device('cuda' if torch.cuda.is_available() else 'cpu')"
    lab.write("train.py", f"import torch\ndevice = {ask}")
    lab.expect("env-cpu-only-build", faulty, "CPU-only", "2.4.0+cpu")


@both
def test_editable_of_another_checkout(lab: Any, faulty: bool) -> None:
    """The installed package is the copy in the old folder, not this project's."""
    old = lab.root / "old" / "engine"
    old.mkdir(parents=True)
    (old / "__init__.py").write_text("def go(): ...\n")
    lab.write("src/engine/__init__.py", "def go(): ...\ndef fly(): ...")
    source = old.parent if faulty else lab.work / "src"
    lab.install("engine", "0.1", {"__editable__.engine-0.1.pth": str(source) + "\n"})
    lab.write("scripts/train.py", "from engine import fly")
    lab.expect("env-stale-editable", faulty, "another checkout", "fly", script="scripts/train.py")

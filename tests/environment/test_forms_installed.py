"""Other forms of the same causes: installs, variables, texts, devices, and look-alikes that are healthy."""

from __future__ import annotations

import json
import shutil
import sys
from typing import Any

import pytest

from cognate.observe.environment.machine import Machine

Form = tuple[str, dict[str, Any]]  # (the first root cause, "" for none; how it is examined)
TORCH = {
    "torch/__init__.py": "from torch import cuda, nn, utils\ndef zeros(*size): ...",
    "torch/nn.py": "class Module: ...",
    "torch/cuda.py": "def is_available(): ...",
    "torch/utils/__init__.py": "",
    "torch/version.py": "cuda = '12.1'",
}
SUF = f"cpython-3{sys.version_info[1]}-x86_64-linux-gnu.so"


def faulty_empty_pkg_dir(lab: Any) -> Form:
    """The folder and the metadata are there, the files are gone."""
    lab.install("peft", "0.15", {"peft/__init__.py": "class L: ...", "peft/a.py": ""})
    for n in ("__init__.py", "a.py"):
        (lab.site / "peft" / n).unlink()
    lab.write("train.py", "from peft import L")
    return "env-broken-install", {}


def faulty_html_so(lab: Any) -> Form:
    """A proxy answered with a page instead of the library."""
    lab.install(
        "xformers",
        "0.0.27",
        {"xformers/__init__.py": "from . import _C", f"xformers/_C.{SUF}": b"<!DOCTYPE html><html>" + b"x" * 5000},
    )
    lab.write("train.py", "import xformers")
    return "env-extension-damaged", {}


def faulty_nullbytes(lab: Any) -> Form:
    """A crash left a file of null bytes."""
    lab.install("timm", "1.0", {"timm/__init__.py": "x=1"})
    (lab.site / "timm/__init__.py").write_bytes(b"\x00" * 4096)
    lab.write("train.py", "import timm")
    return "env-source-syntax", {}


def faulty_transitive_pin(lab: Any) -> Form:
    """Two packages below the imported one exclude each other."""
    lab.install("tokenizers", "0.22", {"tokenizers/__init__.py": ""})
    lab.install("transformers", "4.40", {"transformers/__init__.py": "class Trainer: ..."}, requires=("tokenizers<0.20,>=0.19",))
    lab.install("trl", "0.8", {"trl/__init__.py": "import transformers"}, requires=("transformers>=4.31",))
    lab.write("train.py", "import trl")
    return "env-version-conflict", {}


def faulty_numpy_alias(lab: Any) -> Form:
    """An installed package asks another for a name it has dropped."""
    lab.install("huggingface_hub", "0.30", {"huggingface_hub/__init__.py": "def hf_hub_download(): ..."})
    lab.install("diffusers", "0.20", {"diffusers/__init__.py": "from huggingface_hub import cached_download\nclass P: ..."})
    lab.write("train.py", "from diffusers import P")
    return "env-name-missing", {}


def faulty_editable_finder(lab: Any) -> Form:
    """The import hook of an editable install points into nowhere."""
    lab.install(
        "mylib",
        "0.1",
        {
            "__editable___mylib_0_1_finder.py": ("MAPPING = {'mylib': '/gone/mylib/src/mylib'}\ndef install(): ..."),
            "__editable__.mylib-0.1.pth": ("import __editable___mylib_0_1_finder; __editable___mylib_0_1_finder.install()\n"),
        },
        direct_url=json.dumps({"url": "file:///gone/mylib", "dir_info": {"editable": True}}),
    )
    lab.write("train.py", "from mylib import X")
    return "env-stale-editable", {}


def faulty_pp_semicolon(lab: Any) -> Form:
    """PYTHONPATH is separated as on Windows."""
    for n in ("a", "b"):
        (lab.root / n).mkdir()
        (lab.root / n / f"lib{n}.py").write_text("X=1")
    lab.environ["PYTHONPATH"] = f"{lab.root}/a;{lab.root}/b"
    lab.write("train.py", "import liba, libb")
    return "env-variable-malformed", {}


def faulty_pp_quotes(lab: Any) -> Form:
    """PYTHONPATH holds quotation marks."""
    (lab.root / "a").mkdir()
    (lab.root / "a" / "liba.py").write_text("X=1")
    lab.environ["PYTHONPATH"] = f'"{lab.root}/a"'
    lab.write("train.py", "import liba")
    return "env-variable-malformed", {}


def faulty_offline_tok(lab: Any) -> Form:
    """The model's name stands under a constant."""
    lab.install("transformers", "4.50", {"transformers/__init__.py": "class AutoTokenizer: ..."})
    lab.environ |= {"HF_HUB_OFFLINE": "yes", "HOME": str(lab.root)}
    lab.write(
        "train.py",
        ("from transformers import AutoTokenizer\nMODEL='bert-base-uncased'\ntok=AutoTokenizer.from_pretrained(MODEL)"),
    )
    return "env-offline-uncached", {}


def faulty_json_latin(lab: Any) -> Form:
    """The call itself names the wrong encoding."""
    (lab.work / "labels.json").write_bytes('{"a":"é"}'.encode("latin-1"))
    lab.write("train.py", ("import json\nwith open('labels.json', encoding='utf-8') as f:\n    x=json.load(f)"))
    return "env-text-encoding", {}


def faulty_pathlib_ascii(lab: Any) -> Form:
    """read_text() in an ASCII locale."""
    lab.environ |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    (lab.work / "v.txt").write_text("é", encoding="utf-8")
    lab.write("train.py", "from pathlib import Path\nt=Path('v.txt').read_text()")
    return "env-text-encoding", {}


def faulty_disk(lab: Any) -> Form:
    """The disk is full, and a dataset is loaded."""
    lab.install("datasets", "4.0", {"datasets/__init__.py": "def load_dataset(*a): ..."})
    lab.write("train.py", "from datasets import load_dataset\nload_dataset('imdb')")
    return "env-disk-full", {"machine": Machine(free_bytes=1 << 20)}


def faulty_lightning_gpu(lab: Any) -> Form:
    """The GPU is asked for by an option of Lightning's Trainer."""
    lab.install("torch", "2.4.0+cu121", TORCH)
    lab.install("lightning", "2.4", {"lightning/__init__.py": "class Trainer: ..."})
    lab.write("train.py", ("import torch\nimport lightning as L\nL.Trainer(accelerator='gpu', devices=2)"))
    return "env-gpu-missing", {"machine": Machine(gpus=0)}


def faulty_hidden_in_script(lab: Any) -> Form:
    """The script itself hides the GPU."""
    lab.install("torch", "2.4.0+cu121", TORCH)
    lab.write("train.py", ("import os\nos.environ['CUDA_VISIBLE_DEVICES'] = '-1'\nimport torch\nx=torch.zeros(1).cuda()"))
    return "env-gpu-hidden", {"machine": Machine(gpus=1, driver="550.54")}


def faulty_sitecust_pythonpath(lab: Any) -> Form:
    """A sitecustomize on PYTHONPATH leaves at once."""
    (lab.root / "pp").mkdir()
    (lab.root / "pp/sitecustomize.py").write_text("import sys\nsys.exit(3)\n")
    lab.environ["PYTHONPATH"] = str(lab.root / "pp")
    lab.write("train.py", "import json")
    return "env-startup-file", {}


def faulty_openascii(lab: Any) -> Form:
    """Arrows into a latin-1 stdout."""
    lab.environ["PYTHONIOENCODING"] = "latin-1:strict"
    (lab.work / "train.py").write_text("import sys\nsys.stdout.write('→ ok\\n')\nprint('loss ↓')\n", encoding="utf-8")
    return "env-ascii-output", {}


def faulty_home_unwritable(lab: Any) -> Form:
    """HOME cannot hold a cache."""
    lab.install("transformers", "4.50", {"transformers/__init__.py": "class AutoModel: ..."})
    lab.environ["HOME"] = "/proc/1/nohome"
    lab.write("train.py", ("from transformers import AutoModel\nAutoModel.from_pretrained('gpt2')"))
    return "env-cache-unusable", {}


def faulty_meta(lab: Any) -> Form:
    """Metadata gone, version asked for."""
    lab.install("tqdm", "4", {"tqdm/__init__.py": ""})
    shutil.rmtree(lab.site / "tqdm-4.dist-info")
    lab.write("train.py", ("import tqdm\nfrom importlib.metadata import version\nprint(version('tqdm'))"))
    return "env-metadata-missing", {}


def healthy_cpu_class(lab: Any) -> Form:
    """A wrapper's own .cuda() that is not called."""
    lab.install("torch", "2.4.0+cpu", {**TORCH, "torch/version.py": "cuda=None\n"})
    lab.write(
        "train.py",
        (
            "import torch\n"
            "class Box:\n"
            "    def __init__(self, x): self.x = x\n"
            "    def cuda(self): return Box(self.x.cuda())\n"
            "Box(torch.zeros(1))\n"
        ),
    )
    return "", {}


def healthy_ci_requirements(lab: Any) -> Form:
    """Requirements with includes, comments and markers."""
    (lab.work / "requirements.txt").write_text("torch>=2.0\n-r extra.txt\n# numpy==1.0\nblack==99 ; python_version < '3.0'\n")
    lab.install("torch", "2.4.0", TORCH)
    lab.write("train.py", "import torch")
    return "", {}


def healthy_version_range(lab: Any) -> Form:
    """Requirements that markers switch off."""
    lab.install("numpy", "1.26", {"numpy/__init__.py": ""})
    lab.install(
        "torch",
        "2.4.0",
        TORCH,
        requires=("numpy<2; python_version<'3.9'", "filelock; extra=='x'", "triton==3.0; platform_system=='Windows'"),
    )
    lab.write("train.py", "import torch, numpy")
    return "", {}


def healthy_cuda_else(lab: Any) -> Form:
    """The GPU is tested for in a function."""
    lab.install("torch", "2.4.0+cpu", {**TORCH, "torch/version.py": "cuda=None\n"})
    lab.write(
        "train.py",
        (
            "import torch\n"
            "def pick():\n"
            "    if torch.cuda.is_available():\n"
            "        return torch.device('cuda')\n"
            "    return torch.device('cpu')\n"
            "dev=pick()\n"
            "if dev.type == 'cuda':\n"
            "    torch.cuda.set_device('cuda:0')"
        ),
    )
    return "", {}


def healthy_cuda_arg(lab: Any) -> Form:
    """The device is an option, cpu by default."""
    lab.install("torch", "2.4.0+cpu", {**TORCH, "torch/version.py": "cuda=None\n"})
    lab.write(
        "train.py",
        (
            "import argparse, torch\n"
            "p=argparse.ArgumentParser(); p.add_argument('--device', default='cpu', choices=['cpu','cuda'])\n"
            "a=p.parse_args()\n"
            "x=torch.zeros(1).to(a.device)"
        ),
    )
    return "", {}


def healthy_mojib_like(lab: Any) -> Form:
    """Accents that only look like text decoded twice."""
    (lab.work / "train.py").write_text("# São Paulo, Ångström\nprint('Ã is a letter')\n", encoding="utf-8")
    return "", {}


def healthy_print_replace(lab: Any) -> Form:
    """The error handler replaces what cannot be printed."""
    lab.environ["PYTHONIOENCODING"] = "ascii:replace"
    (lab.work / "train.py").write_text("print('✓')\n", encoding="utf-8")
    return "", {}


def healthy_open_utf8_mode(lab: Any) -> Form:
    """UTF-8 mode in the C locale."""
    lab.environ |= {"LC_ALL": "C", "PYTHONUTF8": "1"}
    (lab.work / "v.txt").write_text("é", encoding="utf-8")
    (lab.work / "train.py").write_text("t=open('v.txt').read()\nprint('é')", encoding="utf-8")
    return "", {}


def healthy_env_get(lab: Any) -> Form:
    """Variables that may be absent."""
    lab.write(
        "train.py",
        (
            "import os\n"
            "x=os.environ.get('RANK', 0)\n"
            "if 'SLURM_JOB_ID' in os.environ:\n"
            "    y=os.environ['SLURM_JOB_ID']\n"
            "try:\n"
            "    z=os.environ['Q']\n"
            "except KeyError:\n"
            "    z=1"
        ),
    )
    return "", {}


def healthy_offline_local(lab: Any) -> Form:
    """Offline, from a local folder."""
    lab.install("transformers", "4.50", {"transformers/__init__.py": "class AutoModel: ..."})
    lab.environ["HF_HUB_OFFLINE"] = "1"
    (lab.work / "ckpt").mkdir()
    (lab.work / "ckpt/config.json").write_text("{}")
    lab.write("train.py", ("from transformers import AutoModel\nAutoModel.from_pretrained('ckpt')"))
    return "", {}


def healthy_stub_pkgs(lab: Any) -> Form:
    """Type stubs beside the package."""
    lab.install("types-requests", "2", {"requests-stubs/__init__.pyi": ""})
    lab.install("requests", "2", {"requests/__init__.py": "def get(): ..."})
    lab.write("train.py", "import requests\nrequests.get")
    return "", {}


def healthy_namespace(lab: Any) -> Form:
    """Two distributions share a namespace."""
    lab.install("google-cloud", "1", {"google/cloud/__init__.py": "X=1"})
    lab.install("google-api", "1", {"google/api/__init__.py": "Y=1"})
    lab.write("train.py", "from google.cloud import X\nfrom google.api import Y")
    return "", {}


FORMS = {name: form for name, form in globals().items() if name.startswith(("faulty_", "healthy_"))}


@pytest.mark.parametrize("name", FORMS)
def test_root_cause_first_and_no_false_alarm(lab: Any, name: str) -> None:
    cause, options = FORMS[name](lab)
    told = [(item.name, item.title) for item in lab.diagnose(**options).root_causes]
    assert told[0][0] == cause if cause else not told, told

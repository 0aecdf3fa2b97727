"""Causes on faulty and healthy twins: variables, caches, encodings, GPUs, limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cognate.observe.environment.machine import Machine

both = pytest.mark.parametrize("faulty", [True, False], ids=["faulty", "healthy"])
LOADS = {"datasets/__init__.py": "def load_dataset(name, *a, **k): ...\n"}
TORCH = {"torch/__init__.py": "", "torch/version.py": "cuda: Optional[str] = '12.1'\n"}


def use_datasets(lab: Any) -> None:
    lab.install("datasets", "4.0.0", LOADS)
    lab.write("train.py", "from datasets import load_dataset\nd = load_dataset('org/reviews')")


def cached(home: Path) -> None:
    snapshot = home / "hub" / "datasets--org--reviews" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "data.parquet").write_text("x")


# ── caches ────────────────────────────────────────────────────────────────────────────────────────────────────────


@both
@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"])
def test_offline_without_the_files(lab: Any, faulty: bool, variable: str) -> None:
    """Downloads are forbidden, and nothing is cached."""
    use_datasets(lab)
    lab.environ |= {variable: "1", "HF_HOME": str(lab.root / "hf"), "HOME": str(lab.root)}
    if not faulty:
        cached(lab.root / "hf")
    lab.expect("env-offline-uncached", faulty, variable, "org/reviews")


@both
def test_offline_with_another_cache(lab: Any, faulty: bool) -> None:
    """HF_HOME was moved, the files were not."""
    use_datasets(lab)
    cached(lab.root / ".cache" / "huggingface")
    lab.environ |= {"HF_HUB_OFFLINE": "1", "HOME": str(lab.root)} | ({"HF_HOME": str(lab.root / "new")} if faulty else {})
    lab.expect("env-offline-uncached", faulty, "HF_HOME", ".cache/huggingface")


def test_offline_switched_on_by_the_script_itself(lab: Any) -> None:
    lab.install("transformers", "4.50.0", {"transformers/__init__.py": "class AutoModel: ..."})
    lab.write(
        "train.py",
        "import os\nos.environ['TRANSFORMERS_OFFLINE'] = '1'\nfrom transformers import "
        "AutoModel\nAutoModel.from_pretrained('org/m')",
    )
    lab.environ["HOME"] = str(lab.root)
    lab.expect("env-offline-uncached", True, "TRANSFORMERS_OFFLINE")
    lab.write("train.py", "import os\nfrom transformers import AutoModel\nAutoModel.from_pretrained('./m')")
    lab.environ["TRANSFORMERS_OFFLINE"] = "1"
    lab.expect("", False)


@both
@pytest.mark.parametrize(
    ("variable", "value"), [("HF_HOME", "/proc/hf"), ("HF_DATASETS_CACHE", "FILE/x"), ("TMPDIR", "/nonexistent/tmp")]
)
def test_folder_that_cannot_be_used(lab: Any, faulty: bool, variable: str, value: str) -> None:
    """A variable names a folder in which nothing can be written."""
    use_datasets(lab)
    (lab.root / "file").write_text("")
    (lab.root / "fine").mkdir()
    lab.environ[variable] = value.replace("FILE", str(lab.root / "file")) if faulty else str(lab.root / "fine")
    lab.expect("env-cache-unusable", faulty, variable)


# ── variables ─────────────────────────────────────────────────────────────────────────────────────────────────────


@both
def test_stale_ranks(lab: Any, faulty: bool) -> None:
    """RANK and WORLD_SIZE were exported for another job."""
    lab.install("torch", "2.4.0", TORCH)
    lab.write("train.py", "import torch\ntorch.distributed.init_process_group('gloo')")
    lab.environ |= {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}
    if not faulty:
        lab.environ["TORCHELASTIC_RUN_ID"] = "none"
    lab.expect("env-stale-distributed-variables", faulty, "WORLD_SIZE=4")


@both
@pytest.mark.parametrize("value", ["", "-1"])
def test_hidden_gpu(lab: Any, faulty: bool, value: str) -> None:
    """CUDA_VISIBLE_DEVICES hides the card that the script asks for."""
    lab.install("torch", "2.4.0+cu121", TORCH)
    lab.write("train.py", "import torch\nx = torch.zeros(2).cuda()")
    lab.environ["CUDA_VISIBLE_DEVICES"] = value if faulty else "0"
    lab.expect("env-gpu-hidden", faulty, "CUDA_VISIBLE_DEVICES", machine=Machine(gpus=1, driver="550.54"))


def test_no_alarm_where_no_gpu_is_asked_for(lab: Any) -> None:
    lab.install("torch", "2.4.0+cpu", {**TORCH, "torch/version.py": "cuda = None\n"})
    lab.write(
        "train.py",
        "import torch\ndevice = 'cuda' if torch.cuda.is_available() else 'cpu'\nif device == 'cuda':\n    torch.zeros(1).cuda()",
    )
    lab.environ["CUDA_VISIBLE_DEVICES"] = ""
    lab.expect("", False)


@both
def test_no_gpu(lab: Any, faulty: bool) -> None:
    """The script asks for a GPU on a machine without one."""
    lab.install("torch", "2.4.0+cu121", TORCH)
    lab.write("train.py", "import torch\nmodel = torch.nn.Linear(1, 1).to('cuda:0')")
    lab.expect("env-gpu-missing", faulty, "asks for a GPU", machine=Machine(gpus=0 if faulty else 1, driver="550.54"))


@both
def test_old_driver(lab: Any, faulty: bool) -> None:
    """CUDA 12 needs a driver from 525.60 on."""
    lab.install("torch", "2.4.0+cu121", TORCH)
    lab.write("train.py", "import torch\nx = torch.zeros(2).cuda()")
    machine = Machine(gpus=1, driver="470.82.01" if faulty else "535.104")
    lab.expect("env-driver-too-old", faulty, "470.82", "525.60", machine=machine)


@both
def test_libraries_put_before_the_wheels_own(lab: Any, faulty: bool) -> None:
    """LD_LIBRARY_PATH holds another cuDNN than the wheels."""
    lab.install("torch", "2.4.0+cu121", TORCH)
    wheels = lab.site / "nvidia" / "cudnn" / "lib"
    wheels.mkdir(parents=True)
    (wheels / "libcudnn.so.9").write_bytes(b"")
    cuda = lab.root / "cuda"
    cuda.mkdir()
    (cuda / ("libcudnn.so.8" if faulty else "libfoo.so.1")).write_bytes(b"")
    lab.environ["LD_LIBRARY_PATH"] = str(cuda)
    lab.write("train.py", "import torch")
    lab.expect("env-library-path", faulty, "LD_LIBRARY_PATH", "libcudnn.so.8")


@both
def test_old_standard_library_of_cpp(lab: Any, faulty: bool) -> None:
    """A conda folder on LD_LIBRARY_PATH brings an older libstdc++."""
    lab.install("pyarrow", "20.0.0", {"pyarrow/__init__.py": "", "pyarrow/libarrow.so": b"\x7fELF GLIBCXX_3.4.30 GLIBCXX_3.4.11"})
    conda = lab.root / "conda"
    conda.mkdir()
    (conda / "libstdc++.so.6").write_bytes(b"GLIBCXX_3.4.26" if faulty else b"GLIBCXX_3.4.32")
    lab.environ["LD_LIBRARY_PATH"] = str(conda)
    lab.write("train.py", "import pyarrow")
    found = [item.name for item in lab.diagnose().findings]
    assert ("env-library-path" in found) is faulty


@both
def test_two_openmp_runtimes(lab: Any, faulty: bool) -> None:
    """torch and another package bring libiomp5 each."""
    lab.install("torch", "2.4.0", {**TORCH, "torch/lib/libiomp5.so": "x"})
    lab.install("mkl", "2024.0", {"mkl/__init__.py": "", "mkl/lib/libiomp5.so" if faulty else "mkl/lib/libmkl.so": "x"})
    lab.environ["KMP_DUPLICATE_LIB_OK"] = "TRUE"
    lab.write("train.py", "import torch\nimport mkl")
    found = {item.name: item.title for item in lab.diagnose().findings}
    assert ("env-openmp-duplicate" in found) is faulty
    assert not faulty or "KMP_DUPLICATE_LIB_OK" in found["env-openmp-duplicate"]


@both
def test_asserts_stripped(lab: Any, faulty: bool) -> None:
    """PYTHONOPTIMIZE takes the checks away."""
    lab.environ["PYTHONOPTIMIZE"] = "1"
    lab.write("train.py", "n = 3\nassert n == 4, 'bad split'" if faulty else "n = 3")
    lab.expect("env-asserts-off", faulty, "PYTHONOPTIMIZE", "line 2")


@both
@pytest.mark.parametrize(
    ("name", "value"), [("PYTHONHASHSEED", "abc"), ("OMP_NUM_THREADS", "auto"), ("PYTHONIOENCODING", "utf8x")]
)
def test_malformed_variable(lab: Any, faulty: bool, name: str, value: str) -> None:
    """A value that Python or a library refuses."""
    lab.environ[name] = value if faulty else {"PYTHONIOENCODING": "utf-8"}.get(name, "4")
    lab.write("train.py", "import json")
    lab.expect("env-variable-malformed", faulty, name)


@both
def test_unexpanded_pythonpath(lab: Any, faulty: bool) -> None:
    """A tilde in PYTHONPATH is no home folder."""
    (lab.root / "lib").mkdir()
    (lab.root / "lib" / "inhouse.py").write_text("X = 1")
    lab.environ |= {"HOME": str(lab.root), "PYTHONPATH": "~/lib" if faulty else str(lab.root / "lib")}
    lab.write("train.py", "import inhouse")
    lab.expect("env-variable-malformed", faulty, "PYTHONPATH=~/lib", "inhouse")


@both
def test_variable_that_is_not_set(lab: Any, faulty: bool) -> None:
    """os.environ[NAME] without the variable."""
    lab.write(
        "train.py",
        "import os\nroot = os.environ['DATA_ROOT']" if faulty else "import os\nroot = os.environ.get('DATA_ROOT', '.')",
    )
    lab.expect("env-variable-unset", faulty, "DATA_ROOT")


@both
def test_forced_tokenizer_threads(lab: Any, faulty: bool) -> None:
    """TOKENIZERS_PARALLELISM=true and forked workers."""
    lab.install("torch", "2.4.0", TORCH)
    lab.install("transformers", "4.50.0", {"transformers/__init__.py": "class AutoTokenizer: ..."})
    lab.environ["TOKENIZERS_PARALLELISM"] = "true" if faulty else "false"
    lab.write(
        "train.py",
        "import torch\nfrom transformers import AutoTokenizer\nloader = torch.utils.data.DataLoader([], num_workers=4)",
    )
    lab.expect("env-tokenizers-fork", faulty, "TOKENIZERS_PARALLELISM")


@both
def test_transfer_tool_that_is_not_installed(lab: Any, faulty: bool) -> None:
    """HF_HUB_ENABLE_HF_TRANSFER=1 without hf_transfer."""
    use_datasets(lab)
    lab.environ["HF_HUB_ENABLE_HF_TRANSFER"] = "1"
    if not faulty:
        lab.install("hf_transfer", "0.1.9")
    lab.expect("env-extra-missing", faulty, "hf_transfer")


# ── limits ────────────────────────────────────────────────────────────────────────────────────────────────────────


@both
@pytest.mark.parametrize(
    ("cause", "low", "high"),
    [
        ("env-shared-memory-small", {"shm_bytes": 64 << 20}, {"shm_bytes": 8 << 30}),
        ("env-open-files-low", {"open_files": 64}, {"open_files": 4096}),
        ("env-disk-full", {"free_bytes": 5 << 20}, {"free_bytes": 90 << 30}),
    ],
)
def test_limits(lab: Any, faulty: bool, cause: str, low: dict[str, int], high: dict[str, int]) -> None:
    """Too little shared memory, too few open files, a full disk."""
    lab.install("torch", "2.4.0", TORCH)
    lab.write("train.py", "import torch\nloader = torch.utils.data.DataLoader([], num_workers=4)")
    lab.expect(cause, faulty, machine=Machine(**(low if faulty else high)))


# ── encodings ─────────────────────────────────────────────────────────────────────────────────────────────────────


@both
@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_source_in_another_encoding(lab: Any, faulty: bool, encoding: str) -> None:
    """Saved by an editor on Windows."""
    text = "# Übung\nname = 'café'\n"
    (lab.work / "train.py").write_bytes(text.encode(encoding if faulty else "utf-8"))
    lab.expect("env-source-encoding", faulty, encoding)


@both
def test_no_break_space_in_the_source(lab: Any, faulty: bool) -> None:
    """Pasted from a web page."""
    space = "\u00a0" if faulty else " "
    (lab.work / "train.py").write_text(f"x = 1\ny ={space}2\n", encoding="utf-8")
    lab.expect("env-source-syntax", faulty, "train.py:2", "U+00A0")


@both
def test_module_that_does_not_parse(lab: Any, faulty: bool) -> None:
    """A slip in a module of one's own."""
    lab.write("train.py", "import model")
    (lab.work / "model.py").write_text("def forward(x:\n    return x\n" if faulty else "def forward(x):\n    return x\n")
    lab.expect("env-source-syntax", faulty, "model.py")


@both
def test_mojibake(lab: Any, faulty: bool) -> None:
    """UTF-8 that was decoded as cp1252 and saved."""
    text = "✓ café – fertig"
    shown = text.encode("utf-8").decode("cp1252", "replace").replace("\ufffd", "") if faulty else text
    (lab.work / "train.py").write_text(
        f"label = 'cafÃ©'\nprint({shown!r})\n" if faulty else f"print({text!r})\n", encoding="utf-8"
    )
    lab.expect("env-mojibake", faulty, "café")


@both
@pytest.mark.parametrize(
    "variables", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}, {"LC_ALL": "en_US.ISO-8859-1"}]
)
def test_output_that_cannot_hold_the_text(lab: Any, faulty: bool, variables: dict[str, str]) -> None:
    """A tick is printed into an ASCII or latin-1 stdout."""
    lab.environ |= variables if faulty else {"LC_ALL": "C"}
    (lab.work / "train.py").write_text("print('✓ done')\n", encoding="utf-8")
    lab.expect("env-ascii-output", faulty, "✓", "UnicodeEncodeError")


@both
def test_data_read_in_the_wrong_encoding(lab: Any, faulty: bool) -> None:
    """open() without an encoding, of a cp1252 file."""
    (lab.work / "labels.txt").write_bytes("größe\n".encode("cp1252" if faulty else "utf-8"))
    lab.write("train.py", "with open('labels.txt') as stream:\n    labels = stream.read().split()")
    lab.expect("env-text-encoding", faulty, "labels.txt", "UnicodeDecodeError")

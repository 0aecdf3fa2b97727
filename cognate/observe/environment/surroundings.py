"""Variables, GPUs and limits that decide how the command behaves: each row says what is set and what it does here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cognate.observe.environment.caches import HUB_USERS, TRUE
from cognate.observe.environment.distributions import Distributions, Installed
from cognate.observe.environment.encodings import expanded
from cognate.observe.environment.interpreter import Interpreter
from cognate.observe.environment.machine import Machine
from cognate.observe.environment.nearby import offered
from cognate.observe.environment.syspath import Command
from cognate.observe.environment.uses import Uses

GPU_STACK = frozenset({"torch", "transformers", "lightning", "pytorch_lightning", "accelerate", "deepspeed"})
RENDEZVOUS = ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE")
STARTED_BY_A_LAUNCHER = ("TORCHELASTIC_RUN_ID", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "KUBERNETES_SERVICE_HOST")
# Lowest driver of each CUDA major version on Linux
# (https://docs.nvidia.com/deploy/cuda-compatibility/, minor version compatibility).
LOWEST_DRIVER = {11: 450.80, 12: 525.60, 13: 580.0}
WHEEL_LIBRARY = re.compile(
    r"lib(cudnn|cublas|cublasLt|cudart|nccl|cusparse|cusolver|cufft|curand|nvJitLink|nvrtc|c10|torch|stdc\+\+|gomp|iomp5|mkl)[\w.-]*\.so"
)
OPENMP = re.compile(r"lib(iomp5|omp)[-\w]*\.(so|dylib)")
VERSIONED = re.compile(rb"GLIBCXX_3\.4\.(\d+)")
BINARY_LIMIT = 40_000_000


class Surroundings:
    """The rows of one command. `used` are the imported distributions by module, `modules` all imported names."""

    def __init__(
        self,
        interpreter: Interpreter,
        command: Command,
        environ: Mapping[str, str],
        asked: Uses,
        used: Mapping[str, Installed],
        modules: frozenset[str],
        distributions: Distributions,
        machine: Machine,
        missing: frozenset[str],
    ) -> None:
        self._missing = missing
        self._interpreter, self._command, self._environ, self._uses = interpreter, command, environ, asked
        self._used, self._modules, self._distributions, self._machine = used, modules, distributions, machine

    def all(self) -> Iterator[dict[str, Any]]:
        """Everything found."""
        yield from self._python_home()
        yield from self._malformed()
        yield from self._unset()
        yield from self._asserts()
        if self._modules & GPU_STACK:
            yield from self._distributed()
            yield from self._gpu()
            yield from self._fork()
        if self._modules & (GPU_STACK | {"datasets", "huggingface_hub"}):
            yield from self._limits()
        yield from self._libraries()
        yield from self._openmp()
        yield from self._packages_wanted()

    def _value(self, name: str) -> str | None:
        """The variable as the code sees it when it imports its libraries: what it sets itself counts."""
        own = self._uses.sets.get(name)
        if own is not None and not (own["weak"] and name in self._environ):
            return None if own["removed"] else own["value"]
        return self._environ.get(name)

    def _row(self, kind: str, variable: str, text: str, **facts: Any) -> dict[str, Any]:
        own = self._uses.sets.get(variable)
        place = {"file": own["file"], "line": own["line"]} if own else {}
        return {"kind": kind, "variable": variable, "value": self._value(variable) or "", "text": text, **place, **facts}

    def _python_home(self) -> Iterator[dict[str, Any]]:
        home = self._environ.get("PYTHONHOME") if self._command.obeys_variables else None
        if home and os.path.realpath(home.partition(os.pathsep)[0]) != os.path.realpath(self._interpreter.base_prefix):
            text = f"Python looks for its standard library below {home}, not below {self._interpreter.base_prefix}"
            yield self._row("python-home", "PYTHONHOME", text, wanted=self._interpreter.base_prefix)

    def _malformed(self) -> Iterator[dict[str, Any]]:
        def bad(name: str, accepted: str, text: str, fatal: bool = False) -> Iterator[dict[str, Any]]:
            value = self._environ.get(name)
            if value and not re.fullmatch(accepted, value) and (self._command.obeys_variables or not name.startswith("PYTHON")):
                yield self._row("variable-malformed", name, text, fatal=fatal)

        yield from bad(
            "PYTHONHASHSEED",
            r"random|\d{1,9}|[1-3]\d{9}|4[01]\d{8}",
            "it must be `random` or a number up to 4294967295; Python refuses to start",
            True,
        )
        yield from bad("PYTHONUTF8", r"[01]", "it must be 0 or 1; Python refuses to start", True)
        if self._modules:
            for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
                yield from bad(
                    name, r"[1-9]\d*(,[1-9]\d*)*", "it must be a positive number; the thread pools ignore or refuse it"
                )
        warnings = self._environ.get("PYTHONWARNINGS", "") if self._command.obeys_variables else ""
        if any(item.split(":")[0].strip() in ("error", "e") and ":" not in item for item in warnings.split(",")) and self._used:
            yield self._row(
                "variable-malformed", "PYTHONWARNINGS", "it turns every warning of a library into an exception", fatal=False
            )
        if "torch" in self._modules:
            for name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
                yield from bad(
                    name,
                    r"\s*\w+\s*:[^:]+(,\s*\w+\s*:[^:]+)*,?",
                    "it must hold key:value pairs; torch refuses it at the first allocation",
                )
        path = self._environ.get("PYTHONPATH", "") if self._command.obeys_variables else ""
        for part in path.split(os.pathsep):
            meant = expanded(part.strip().strip("'\""), self._environ)
            if ";" in part:
                places = [Path(item) for item in part.split(";")]
                modules = sorted(name for name in self._missing if any(offered(place, name) for place in places))
                text = "its parts are separated by `;`, which Python takes for part of a name here"
                yield self._row("path-malformed", "PYTHONPATH", text, part=part, modules=modules)
            elif meant != part and not os.path.exists(part) and os.path.isdir(meant):
                modules = sorted(name for name in self._missing if offered(Path(meant), name))
                text = f"Python does not expand or strip {part!r}; meant is {meant}"
                yield self._row("path-malformed", "PYTHONPATH", text, part=part, meant=meant, modules=modules)

    def _unset(self) -> Iterator[dict[str, Any]]:
        for use in self._uses.reads:
            name = use["name"]
            if (
                name not in self._environ
                and name not in self._uses.sets
                and name not in (*RENDEZVOUS, "LOCAL_RANK", "LOCAL_WORLD_SIZE")
            ):
                yield {"kind": "variable-unset", "variable": name, **use}

    def _asserts(self) -> Iterator[dict[str, Any]]:
        value = self._environ.get("PYTHONOPTIMIZE", "") if self._command.obeys_variables else ""
        by = "the flag -O" if "O" in self._command.flags else f"PYTHONOPTIMIZE={value}" if value and value != "0" else ""
        if by and self._uses.asserts:
            yield {
                "kind": "asserts-off",
                "variable": "PYTHONOPTIMIZE",
                "by": by,
                "count": len(self._uses.asserts),
                **self._uses.asserts[0],
            }

    def _distributed(self) -> Iterator[dict[str, Any]]:
        if any(self._environ.get(name) for name in STARTED_BY_A_LAUNCHER):
            return
        here = {name: self._environ[name] for name in (*RENDEZVOUS, "LOCAL_RANK") if self._environ.get(name)}
        size, rank = here.get("WORLD_SIZE", "1"), here.get("RANK", here.get("LOCAL_RANK", "0"))
        reacts = bool(self._uses.distributed) or bool(self._modules & (GPU_STACK - {"torch"}))
        if here and reacts and (size != "1" or rank != "0") and (size.isdigit() or rank.isdigit()):
            place = self._uses.distributed[0] if self._uses.distributed else {}
            waits = [name for name in RENDEZVOUS if name not in here]
            yield {"kind": "stale-distributed", "variable": ", ".join(here), "values": here, "missing": waits, **place}

    def _gpu(self) -> Iterator[dict[str, Any]]:
        asked, tested = self._uses.cuda, self._uses.cuda_tested
        visible = self._value("CUDA_VISIBLE_DEVICES")
        hidden = visible is not None and visible.split(",")[0].strip() in ("", "-1", "none", "NoDevFiles", "void")
        if visible and self._machine.gpus and re.fullmatch(r"\d+", visible.split(",")[0].strip()):
            hidden = int(visible.split(",")[0]) >= self._machine.gpus
        torch = self._distributions.named("torch") if "torch" in self._modules else None
        cuda = _cuda_of(torch) if torch else None
        if torch and cuda == "" and (asked or (tested and self._machine.gpus)):
            yield {
                "kind": "cpu-build",
                "variable": "",
                "version": torch.version,
                "gpus": self._machine.gpus,
                "demands": bool(asked),
                **(asked or tested)[0],
            }
        elif asked and hidden:
            yield {**self._row("gpu-hidden", "CUDA_VISIBLE_DEVICES", "it hides every GPU"), "use": asked[0]}
        elif cuda and (asked or tested) and self._too_old(cuda):
            yield {
                "kind": "driver-old",
                "variable": "",
                "driver": self._machine.driver,
                "cuda": cuda,
                "lowest": f"{LOWEST_DRIVER[int(cuda.partition('.')[0])]:.2f}",
                "version": torch.version if torch else "",
                **(asked or tested)[0],
            }
        elif asked and torch and not self._machine.gpus and self._interpreter.platform == "linux":
            yield {"kind": "gpu-missing", "variable": "", **asked[0]}

    def _too_old(self, cuda: str) -> bool:
        lowest = LOWEST_DRIVER.get(int(cuda.partition(".")[0]), 0)
        return bool(self._machine.driver) and float(".".join(self._machine.driver.split(".")[:2])) < lowest

    def _limits(self) -> Iterator[dict[str, Any]]:
        machine, workers = self._machine, self._uses.workers
        if workers and machine.shm_bytes is not None:
            yield {"kind": "shm", "bytes": machine.shm_bytes, **workers[0]}
        if machine.open_files is not None:
            yield {"kind": "open-files", "limit": machine.open_files, "workers": max([w["count"] for w in workers], default=0)}
        if machine.free_bytes is not None:
            yield {"kind": "disk", "free": machine.free_bytes, "folder": str(self._command.cwd)}

    def _fork(self) -> Iterator[dict[str, Any]]:
        value = (self._value("TOKENIZERS_PARALLELISM") or "").lower()
        if value in ("1", "true", "on", "yes") and self._uses.workers and self._modules & {"transformers", "tokenizers"}:
            yield {
                **self._row(
                    "tokenizers-fork",
                    "TOKENIZERS_PARALLELISM",
                    "it keeps the tokenizer's threads on although processes are forked",
                ),
                "use": self._uses.workers[0],
            }

    def _libraries(self) -> Iterator[dict[str, Any]]:
        value = self._environ.get("LD_LIBRARY_PATH", "")
        wheels: dict[str, str] = {}
        for folder in self._wheel_folders() if value else ():
            for name in _names(folder):
                match = WHEEL_LIBRARY.match(name)
                if match:
                    wheels.setdefault(match[1], str(folder / name))
        for part in filter(None, value.split(os.pathsep)):
            if any(Path(file).is_relative_to(os.path.abspath(part)) for file in wheels.values()):
                continue
            for name in sorted(_names(Path(part))):
                match = WHEEL_LIBRARY.match(name)
                if match and match[1] == "stdc++":
                    yield from self._standard_library(os.path.join(part, name))
                elif match and match[1] in wheels:
                    yield self._row(
                        "library-path",
                        "LD_LIBRARY_PATH",
                        f"{part} holds its own {name}",
                        library=os.path.join(part, name),
                        wheel=wheels[match[1]],
                    )
                    break
        for part in re.split(r"[:\s]+", self._environ.get("LD_PRELOAD", "")):
            if "/" in part and not os.path.exists(part):
                yield self._row(
                    "library-path",
                    "LD_PRELOAD",
                    f"{part} does not exist: the loader complains and goes on",
                    library=part,
                    wheel="",
                )

    def _wheel_folders(self) -> Iterator[Path]:
        for item in dict.fromkeys(self._used.values()):
            yield item.folder / item.name.replace("-", "_") / "lib"
            yield item.folder / f"{item.name.replace('-', '_')}.libs"
        if "torch" in self._used:
            yield from sorted((self._used["torch"].folder / "nvidia").glob("*/lib"))

    def _standard_library(self, library: str) -> Iterator[dict[str, Any]]:
        has = _highest(library)
        for item in dict.fromkeys(self._used.values()):
            for path in [path for path in item.record() if path.endswith(".so")][:40]:
                wants = _highest(str(item.folder / path))
                if has and wants > has:
                    text = f"{library} offers GLIBCXX_3.4.{has}, and {item.name} needs GLIBCXX_3.4.{wants}"
                    yield self._row(
                        "library-path", "LD_LIBRARY_PATH", text, library=library, wheel=str(item.folder / path), fatal=True
                    )
                    return

    def _openmp(self) -> Iterator[dict[str, Any]]:
        copies = [
            str(folder / name)
            for folder in dict.fromkeys([*self._wheel_folders(), Path(self._interpreter.prefix, "lib")])
            for name in _names(folder)
            if OPENMP.match(name)
        ]
        if len({os.path.realpath(file) for file in copies}) > 1:
            yield self._row(
                "openmp-duplicate",
                "KMP_DUPLICATE_LIB_OK",
                "several OpenMP runtimes are loaded into one process",
                files=copies[:4],
            )

    def _packages_wanted(self) -> Iterator[dict[str, Any]]:
        wanted = (self._value("HF_HUB_ENABLE_HF_TRANSFER") or "").upper() in TRUE
        if wanted and self._modules & HUB_USERS and self._distributions.named("hf_transfer") is None:
            text = "downloads then need hf_transfer, which is not installed"
            yield self._row("variable-wants-package", "HF_HUB_ENABLE_HF_TRANSFER", text, package="hf_transfer")
        seen: set[str] = set()
        for use in self._uses.needs:
            if use["module"] not in seen and self._distributions.named(use["module"]) is None and "transformers" in self._used:
                seen.add(use["module"])
                yield {"kind": "call-wants-package", "package": use["module"], "variable": "", **use}


def _names(folder: Path) -> Iterable[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return ()


def _highest(file: str) -> int:
    try:
        if os.stat(file).st_size > BINARY_LIMIT:
            return 0
        data = Path(file).read_bytes()
    except OSError:
        return 0
    return max((int(item) for item in VERSIONED.findall(data)), default=0)


def _cuda_of(torch: Installed) -> str | None:
    """The CUDA version that a torch build uses, from torch/version.py; "" for none, None where it is not told."""
    try:
        text = (torch.folder / "torch" / "version.py").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    match = re.search(r"^cuda\s*(?::[^=]+)?=\s*(None|['\"]([\d.]+)['\"])", text, re.MULTILINE)
    if match:
        return match[2] or ""
    local = torch.version.partition("+")[2]
    if local == "cpu":
        return ""
    digits = re.fullmatch(r"cu(\d{2})(\d+)", local)
    return f"{digits[1]}.{digits[2]}" if digits else None

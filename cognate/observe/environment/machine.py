"""What the machine has: GPUs and their driver, memory that processes share, open files, free disk. Read from the kernel."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """None stands for what cannot be told here."""

    gpus: int = 0  # NVIDIA device nodes
    driver: str = ""  # of NVIDIA
    shm_bytes: int | None = None
    open_files: int | None = None  # soft limit of a process
    free_bytes: int | None = None  # on the disk of the working folder
    root: bool = False

    @classmethod
    def here(cls, cwd: Path) -> Machine:
        """Look at this machine."""
        return cls(
            gpus=len([name for name in _names("/dev") if re.fullmatch(r"nvidia\d+", name)]),
            driver=_driver(),
            shm_bytes=_size("/dev/shm"),
            open_files=_open_files(),
            free_bytes=_free(cwd),
            root=hasattr(os, "geteuid") and os.geteuid() == 0,
        )


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _driver() -> str:
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = re.search(r"Kernel Module[^0-9]*(\d+\.\d+(?:\.\d+)?)", text)
    return match[1] if match else ""


def _size(folder: str) -> int | None:
    try:
        return shutil.disk_usage(folder).total
    except OSError:
        return None


def _free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _open_files() -> int | None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return None
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft

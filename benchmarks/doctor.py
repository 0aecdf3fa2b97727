"""What `cognate doctor train.py` costs beside `pip list` and torch's collect_env, in CPU seconds, measured in turns.

    python benchmarks/doctor.py [--rounds 7] [--distributions 150]

The site-packages of the running interpreter are filled up to N distributions by made-up ones in a folder on a .pth line's
path of a throw-away virtual environment. CPU seconds are user and system time of the process and its children; the first
round warms the caches and is thrown away.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

TRAIN = """import json
import numpy as np
import torch
from datasets import load_dataset
from transformers import AutoTokenizer

model = torch.nn.Linear(4, 2)
print(json.dumps([model.in_features]))
"""
ROOT = Path(__file__).parent.parent


def environment(folder: Path, wanted: int) -> Path:
    """A virtual environment that sees this interpreter's packages, and as many empty ones as are lacking; its python."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    here = [Path(item) for item in sys.path if item.endswith("site-packages")]
    (site / "shared.pth").write_text("\n".join([str(ROOT), *map(str, here)]) + "\n", encoding="utf-8")
    there = {info.name for item in here for info in item.glob("*.dist-info")}
    for number in range(max(0, wanted - len(there))):
        name = f"made_up_{number:03}"
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (site / name).mkdir()
        (site / name / "__init__.py").write_text("", encoding="utf-8")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n\n", encoding="utf-8")
        (info / "RECORD").write_text(f"{name}/__init__.py,,0\n", encoding="utf-8")
    return folder / "bin" / "python"


def cpu_seconds(words: list[str], folder: str) -> float:
    """CPU seconds of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # What the test runner may have set would forbid everybody's bytecode cache.
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):  # 1 is doctor's negative verdict
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--distributions", type=int, default=150)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        python = str(environment(Path(folder, "venv"), options.distributions))
        Path(folder, "train.py").write_text(TRAIN, encoding="utf-8")
        commands = {
            "cognate doctor train.py": ["-m", "cognate", "doctor", "train.py"],
            "pip list": ["-m", "pip", "list", "--disable-pip-version-check"],
            "torch.utils.collect_env": ["-m", "torch.utils.collect_env"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(options.rounds + 1):
            for name, words in commands.items():
                times[name].append(cpu_seconds([python, *words], folder))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    doctor = medians["cognate doctor train.py"]
    print(f"median of {options.rounds} rounds, {options.distributions} distributions      CPU ms   doctor is")
    for name, median in medians.items():
        print(f"{name:44} {1000 * median:10.0f} {doctor / median:10.2f} x")


if __name__ == "__main__":
    sys.exit(main())

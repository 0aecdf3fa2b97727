"""How fast the commands start, as ratios to an empty Python and to `pip list`, measured in turns.

    python benchmarks/startup.py [--rounds 15]

CPU seconds (user and system) of the process and its children; the first round warms the caches and is thrown away.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TRAIN = "import json\nimport torch\n\nmodel = torch.nn.Linear(4, 2)\nprint(json.dumps([model.in_features]))\n"
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "pip list": ["-m", "pip", "list", "--disable-pip-version-check"],
    "cognate --help": ["-m", "cognate", "--help"],
    "cognate rule": ["-m", "cognate", "rule", "loss-softmax-twice"],
    "cognate doctor": ["-m", "cognate", "doctor", "train.py"],
}


def cpu_seconds(arguments: list[str], folder: str) -> float:
    """CPU seconds of `python arguments`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *arguments], cwd=folder, stdout=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):  # 1 is doctor's negative verdict
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "train.py").write_text(TRAIN, encoding="utf-8")
        for _ in range(rounds + 1):
            for name, arguments in COMMANDS.items():
                times[name].append(cpu_seconds(arguments, folder))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    print(f"median of {rounds} rounds{'':13} CPU ms   x python -c pass   x pip list")
    for name, median in medians.items():
        empty, listing = median / medians["python -c pass"], median / medians["pip list"]
        print(f"{name:34} {1000 * median:6.0f} {empty:18.1f} {listing:12.2f}")


if __name__ == "__main__":
    main()

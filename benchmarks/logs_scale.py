"""What a million rows cost: reading them, and a whole diagnosis, beside a loop of json.loads and pandas, in turns.

    python benchmarks/logs_scale.py [--rows 1000000] [--rounds 3]

Seconds are CPU time of the process, memory is its peak; both are printed as ratios to the loop that keeps every row as a dict.
The first line is the reading of `metrics.jsonl` alone, the others are the command as users call it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

LOOP = "import json,sys; rows = [json.loads(line) for line in open(sys.argv[1])]; print(len(rows))"
PANDAS = "import pandas,sys; print(len(pandas.read_json(sys.argv[1], lines=True)))"
TABLE = """
import sys
from pathlib import Path
from cognate.case.table import read_table
print(len(read_table(Path(sys.argv[1]))))
"""


def write(case: Path, log: Path, rows: int) -> None:
    """A case and a log of the same run: a loss that falls, a cosine rate, a gradient norm, an accuracy."""
    chance = random.Random(0)
    case.mkdir()
    (case / "case.json").write_text(
        json.dumps({"schema": "cognate.case/1", "kind": "run", "origin": "JSON lines", "title": "big"})
    )
    with (case / "metrics.jsonl").open("w", encoding="utf-8") as ours, log.open("w", encoding="utf-8") as theirs:
        for step in range(rows):
            share = step / rows
            row = {
                "step": step,
                "t": round(0.01 * step, 3),
                "loss": round(2 + 3 / (1 + 100 * share) + chance.gauss(0, 0.1), 6),
                "lr": 3e-4 * (1 + math.cos(math.pi * share)) / 2,
                "grad_norm": round(1 + chance.random(), 4),
            }
            ours.write(json.dumps(row) + "\n")
            other = {"global_step": step, "train/loss": row["loss"], "learning_rate": row["lr"], "train/acc": round(share, 4)}
            theirs.write(json.dumps(other) + "\n")


def cost(arguments: list[str]) -> tuple[float, float]:
    """CPU seconds and peak megabytes of `python arguments`."""
    silent = os.open(os.devnull, os.O_WRONLY)
    actions = [(os.POSIX_SPAWN_DUP2, silent, 1)]
    child = os.posix_spawn(sys.executable, [sys.executable, *arguments], os.environ, file_actions=actions)
    _, status, usage = os.wait4(child, 0)
    os.close(silent)
    if os.waitstatus_to_exitcode(status) not in (0, 1):  # 1 is doctor's negative verdict
        raise SystemExit(f"{' '.join(arguments)} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        case, log = Path(scratch) / "case", Path(scratch) / "log.jsonl"
        write(case, log, options.rows)
        metrics = str(case / "metrics.jsonl")
        commands = {
            "json.loads of every line": ["-c", LOOP, metrics],
            **({"pandas.read_json": ["-c", PANDAS, metrics]} if find_spec("pandas") else {}),
            "our table": ["-c", TABLE, metrics],
            "cognate doctor CASE": ["-m", "cognate", "doctor", str(case)],
            "cognate doctor LOG": ["-m", "cognate", "doctor", str(log)],
        }
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, arguments in commands.items():
                measured[name].append(cost(arguments))
    medians = {name: [statistics.median(column) for column in zip(*pairs, strict=True)] for name, pairs in measured.items()}
    seconds, memory = next(iter(medians.values()))
    print(f"{options.rows} rows, {options.rounds} rounds, medians; the first line is the unit")
    for name, (own, peak) in medians.items():
        print(f"{name:28} {own / seconds:6.2f} × CPU ({own:5.2f} s)  {peak / memory:6.2f} × memory ({peak:5.0f} MB)")


if __name__ == "__main__":
    main()

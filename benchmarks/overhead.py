"""What being observed costs a training run, in CPU time of its own process, as a ratio to the same run unobserved.

    python benchmarks/overhead.py [--rounds 6] [--steps 80] [--only transformer|mlp]

Each round runs the same unmodified script (patients/steps.py) twice at the same time, plain and observed, so that a machine that
slows down or speeds up does so to both; it wants two free cores. The script times itself and stays on one thread. The ratio is
taken a round; printed are the geometric mean over rounds and its 95 % interval, observed without probes and with them.

Two figures: *after the first steps*, which are always looked at closely, is what a long run pays; *whole run* includes them.
"""

from __future__ import annotations

import argparse
import array
import itertools
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SCRIPT = Path(__file__).parent / "patients" / "steps.py"
FIRST = 20  # steps that are not counted as "after the first steps"
OBSERVED = [sys.executable, "-m", "cognate", "run", "--quiet"]
WAYS = {"plain": [sys.executable], "observed": [*OBSERVED, "--no-probe"], "with probes": [*OBSERVED, "--probe"]}
GOAL = 1.02
# Student's t for a 95 % interval, by degrees of freedom.
T95 = [
    12.71,
    4.30,
    3.18,
    2.78,
    2.57,
    2.45,
    2.36,
    2.31,
    2.26,
    2.23,
    2.20,
    2.18,
    2.16,
    2.14,
    2.13,
    2.12,
    2.11,
    2.10,
    2.09,
]


def start(way: str, model: str, steps: int, folder: Path) -> subprocess.Popen[bytes]:
    """One run of `model`, under way in `folder`, which it leaves its clock in."""
    folder.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [*WAYS[way], str(SCRIPT), model, str(steps), "clock.bin"]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)


def step_times(ways: tuple[str, str], model: str, steps: int) -> list[list[float]]:
    """CPU seconds of each step of two runs of `model` at the same time."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [(way, start(way, model, steps, Path(folder, way.replace(" ", "-")))) for way in ways]
        times = []
        for way, run in runs:
            if run.wait() != 0:
                raise SystemExit(f"the {way} run of {model} ended with {run.returncode}")
            clock = array.array("d", (Path(folder, way.replace(" ", "-")) / "clock.bin").read_bytes())
            times.append([after - before for before, after in itertools.pairwise(clock)])
        return times


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """Geometric mean of `ratios` and the ends of its 95 % interval."""
    logs = [math.log(ratio) for ratio in ratios]
    middle = statistics.fmean(logs)
    if len(logs) < 2:
        return math.exp(middle), 0.0, math.inf
    freedom = len(logs) - 1
    half = (T95[freedom - 1] if freedom <= len(T95) else 1.96) * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


def compare(model: str, way: str, steps: int, rounds: int) -> None:
    """Print the ratios of `way` to the plain run."""
    ratios: dict[str, list[float]] = {"after the first steps": [], "whole run": []}
    unobserved: list[float] = []
    for number in range(rounds):
        # Who is started first changes, because the first one has the machine to itself for a moment.
        ways = ("plain", way) if number % 2 else (way, "plain")
        times = dict(zip(ways, step_times(ways, model, steps), strict=True))
        unobserved += times["plain"][FIRST:]
        for label, first in (("after the first steps", FIRST), ("whole run", 0)):
            ratios[label].append(sum(times[way][first:]) / sum(times["plain"][first:]))
    for label, values in ratios.items():
        middle, low, high = interval(values)
        goal = ""
        if (model, way, label) == ("transformer", "observed", "after the first steps"):
            goal = f"   goal <= {GOAL}: {'met' if middle <= GOAL else 'missed'}"
        print(f"{model:12} {way:12} {label:22} x {middle:.4f}  [{low:.4f}, {high:.4f}]{goal}", flush=True)
    print(f"{'':12} {rounds} rounds of {steps} steps of {1000 * statistics.median(unobserved):.2f} ms of CPU", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=80, help="of the transformer; the small model makes 40 times as many")
    parser.add_argument("--only", choices=["transformer", "mlp"])
    parser.add_argument("--no-probes", action="store_true", help="leave out the runs with probes")
    options = parser.parse_args()
    for model, steps in (("transformer", options.steps), ("mlp", 40 * options.steps)):
        for way in ("observed",) if options.no_probes else ("observed", "with probes"):
            if options.only in (None, model):
                compare(model, way, steps, options.rounds)


if __name__ == "__main__":
    main()

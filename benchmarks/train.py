"""The reference model's training step and loop, measured side by side with what one would write or use instead, as ratios.

    python benchmarks/train.py [--quick] [--only step loss parts loops processes]

CPU seconds of each process, on one thread, the variants in turns. Peak memory is what a step adds to the resident memory of a
process that runs one variant alone and has made its weights and optimizer state; for the loops it is that of the whole process.
Printed are the geometric mean over the rounds and its 95 % interval, next to the target where there is one. --quick is a smoke
test of a minute: its intervals are wide, and the large sizes are left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from overhead import interval
from trainers.worker import environment, workers

MEGABYTE = 1e6
# rows, tokens, rounds, rounds with --quick, target of time, target of memory
STEPS = ((4, 64, 8, 1, 0.72, None), (8, 256, 3, 0, 0.75, 0.35))
HALF_TARGET = 0.52  # of the naive float32 step
# What is compared with the plain loop, and the distribution that it needs.
LOOPS = {
    "ours": None,
    "plain with DataLoader": None,
    "accelerate": "accelerate",
    "transformers": "transformers",
    "lightning": "lightning",
}
LOOP_TARGET, PROCESSES_TARGET, LOSS_TARGET = 1.05, 1.6, 1e-6


def show(what: str, ratios: list[float], note: str = "", most: float | None = None, least: float | None = None) -> None:
    """One line of the table."""
    middle, low, high = interval(ratios)
    spread = f"[{low:.3f}, {high:.3f}]" if len(ratios) > 1 else "(once)"
    print(f"{what:52} x {middle:6.3f}  {spread:18} {verdict(middle, most, least)}{note}".rstrip(), flush=True)


def verdict(value: float, most: float | None, least: float | None = None) -> str:
    """Whether the target is met, where there is one."""
    if most is not None:
        return f"target <= {most:g}: {'met' if value <= most else 'MISSED'}  "
    if least is not None:
        return f"target >= {least:g}: {'met' if value >= least else 'MISSED'}  "
    return ""


def native_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 itself."""
    import torch

    found = torch.cpu.get_capabilities()
    return any(found.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def steps(quick: bool) -> None:
    """The whole training step of `phase1` against the naive one."""
    naive, half = ("naive", "fp32"), native_bf16()
    ways = [naive, ("ours", "fp32"), *([("ours", "bf16")] if half else [])]
    for rows, tokens, rounds, quick_rounds, time_target, memory_target in STEPS:
        if not (rounds := quick_rounds if quick else rounds):
            continue
        with workers("trainers.step", [(*way, rows, tokens) for way in ways]) as started:
            turns = [dict(zip(ways, [worker.ask() for worker in started], strict=True)) for _ in range(rounds)]
        for way in ways[1:]:
            what, full = f"step {rows}x{tokens} {way[1]}, ours / naive fp32: ", way[1] == "fp32"
            ratios = [turn[way]["seconds"] / turn[naive]["seconds"] for turn in turns]
            note = f"{turns[-1][way]['seconds']:.2f} s against {turns[-1][naive]['seconds']:.2f} s"
            show(what + "time", ratios, note, time_target if full else HALF_TARGET)
            peak, naive_peak = (max(turn[key]["peak"] for turn in turns) for key in (way, naive))
            note = f"{peak / MEGABYTE:.0f} MB against {naive_peak / MEGABYTE:.0f} MB"
            show(what + "peak memory", [peak / naive_peak], note, memory_target if full else None)
    if not half:
        print("step bf16: not measured: this CPU has no bf16 instructions", flush=True)


def loss(quick: bool) -> None:
    """How exact the fused loss is."""
    from trainers.kernels import LossExample

    for spread in (0.3,) if quick else (0.3, 3.0):  # of the logits: as initialised, and as in a trained model
        example = LossExample(64 if quick else 1024, 50_257, spread)
        difference = example.gradients(fused=True, half=False).largest_difference(example.gradients(fused=False, half=False))
        name = f"fused loss fp32, logits of deviation {spread:g}"
        print(f"{name:52} largest gradient difference {difference:.1e}  {verdict(difference, LOSS_TARGET)}", flush=True)
        example = LossExample(128, 8_192, spread)  # small: a CPU without bf16 instructions emulates them, 30 times slower
        exact = example.gradients(fused=False, half=False)
        for fused in (True, False):
            features, head = example.gradients(fused, half=True).error(exact)
            name = f"{'fused' if fused else 'plain'} loss bf16, logits of deviation {spread:g}"
            print(f"{name:52} relative error of gradients {features:.1e} (features) {head:.1e} (head)", flush=True)


def parts(quick: bool) -> None:
    """The memory's scan and the attention kernel."""
    from trainers.kernels import attention, scan

    rounds, seconds = (2, 0.02) if quick else (7, 0.1)
    for tokens in (64, 256) if quick else (64, 256, 2048):
        show(f"memory over {tokens} tokens: scan / loop", scan(tokens, rounds, seconds))
    for tokens in (64, 256) if quick else (64, 256, 1024):
        show(f"attention over {tokens} tokens: SDPA / masked softmax", attention(tokens, rounds, seconds))


def loops(quick: bool) -> None:
    """A whole loop around a small network."""
    found = ["plain", *(name for name, package in LOOPS.items() if package is None or find_spec(package))]
    rounds, length = (2, 150) if quick else (8, 400)
    with workers("trainers.loops", [(name,) for name in found]) as started:
        # The first run of each pays for imports: it is timed for its first step alone.
        starts = dict(zip(found, [worker.ask(60) for worker in started], strict=True))
        turns = [dict(zip(found, [worker.ask(length) for worker in started], strict=True)) for _ in range(rounds)]
    for name in LOOPS:
        if name not in found:
            print(f"loop: {name} not measured: it is not installed", flush=True)
            continue
        ratios = [turn[name]["seconds"] / turn["plain"]["seconds"] for turn in turns]
        note = f"first step x {starts[name]['first'] / starts['plain']['first']:.2f}"
        note += f", peak memory x {turns[-1][name]['peak'] / turns[-1]['plain']['peak']:.2f}"
        show(f"loop: {name} / plain", ratios, note, LOOP_TARGET if name == "ours" else None)
    plain = statistics.median(turn["plain"]["seconds"] for turn in turns)
    print(f"{'':4}plain: {1000 * plain:.2f} ms a step, first step after {starts['plain']['first']:.1f} s of CPU", flush=True)


def processes(quick: bool) -> None:
    """Two processes against one, each with the same batch of its own."""
    if (os.cpu_count() or 1) < 2:
        print("processes: not measured: one core cannot run two", flush=True)
        return
    rounds, length = (1, 2) if quick else (3, 8)
    # Twice the tokens, over the CPU seconds of each process.
    measured = [(seconds_of(1, length), seconds_of(2, length)) for _ in range(rounds)]
    show(
        "tokens per CPU second of a process: 2 processes / 1",
        [2 * one / two for one, two in measured],
        f"{measured[-1][0]:.2f} s a step alone",
        least=PROCESSES_TARGET,
    )


def seconds_of(world: int, length: int) -> float:
    """Mean CPU seconds of a process for a step, of `world` processes."""
    with tempfile.TemporaryDirectory() as folder:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"]
        command = [*launcher, "-m", "trainers.processes", str(length), folder]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"torchrun of {world} processes ended with {done.returncode}: {done.stderr[-2000:]}")
        return sum(float(Path(folder, str(rank)).read_text(encoding="ascii")) for rank in range(world)) / world


SECTIONS = {"step": steps, "loss": loss, "parts": parts, "loops": loops, "processes": processes}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: parts of it are measured in this process
    for name in options.only:
        SECTIONS[name](options.quick)


if __name__ == "__main__":
    main()

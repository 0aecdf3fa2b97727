"""What recursion and halting buy: the reference model against plain transformers of equal parameters and of equal operations.

    python benchmarks/learn.py [--gsm8k FOLDER] [--budget SECONDS] [--quick] [--json FILE]

Three models see the same rows in the same order, with the same optimizer, schedule and seed, for the same number of tokens: the
preset `tiny`; a plain pre-norm transformer of the same parts with as many parameters; one, deeper and wider, that takes as many
floating-point operations to train on a token, forward and backward. Printed is what each has learnt after so many tokens: the
loss on held-out rows, and the share of held-out problems that it solves by free-running generation. Then, for the reference
model: what halting does with the weights as trained.

Data are `arithmetic:mixed` (problems of one to three steps) and GSM8K, where --gsm8k names a folder with train.jsonl and
test.jsonl. The budget is CPU seconds of the model that takes most, for each data set; models train side by side, each on one
thread, and on two free cores the default takes 10 minutes, with GSM8K 20. What a small budget shows is how learning begins. One
seed is one draw: --seed draws again.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learners.course import Lesson

    from cognate.model.config import ModelConfig

BUDGET = 340.0
POINTS, QUICK_POINTS = 5, 2  # of a curve
ROWS = 32  # in an optimizer step: few, so that a small budget allows enough of them
QUICK = {"micro_batch": 8, "effective_batch": 8}
GSM8K_FILES = ("train.jsonl", "test.jsonl")
# Its questions with their answers are too long for the preset's 256 positions and too varied for 512 words.
GSM8K_MODEL = {"vocabulary": 2_048, "positions": 512}


def arithmetic_lesson(seed: int, quick: bool) -> tuple[ModelConfig, Lesson]:
    """`tiny` as `cognate train` would train it."""
    from learners.course import Lesson

    from cognate.train.job import make

    data = {"source": "arithmetic:mixed", "limit": 1_000 if quick else None}
    job = make("tiny", None, {}, data, training(seed) | (QUICK if quick else {}), 0)
    sizes = (16, 6, 2, 20) if quick else (128, 150, None, 40)
    return job.model, Lesson(job.data, job.model.vocabulary, job.training, *sizes)


def gsm8k_lesson(folder: Path, seed: int, quick: bool) -> tuple[ModelConfig, Lesson]:
    """`tiny` with more positions and words, in rows that are as much longer as there are fewer."""
    from learners.course import Lesson

    from cognate.train.job import make

    usual = make("tiny", None, {}, {"source": str(folder)}, training(seed), 0)
    rows = max(1, usual.training.effective_batch * usual.data.sequence // GSM8K_MODEL["positions"])
    batch = {"effective_batch": rows, "micro_batch": max(1, math.gcd(rows, usual.training.micro_batch // 4))}
    data = {"source": str(folder), "sequence": GSM8K_MODEL["positions"], "limit": 200 if quick else None}
    job = make("tiny", None, GSM8K_MODEL, data, training(seed) | (QUICK if quick else batch), 0)
    sizes = (8, 4, 1, 30) if quick else (64, 64, 6, 200)
    return job.model, Lesson(job.data, job.model.vocabulary, job.training, *sizes)


def training(seed: int) -> dict[str, Any]:
    """What a comparison wants otherwise than `cognate train`: no model stops before the others, and each runs on one core."""
    return {"seed": seed, "effective_batch": ROWS, "patience": 0, "checkpoint_every": 0, "log_every": 10**6, "device": "cpu"}


def compare(config: ModelConfig, lesson: Lesson, budget: float | None, points: int, workers: int) -> dict[str, Any]:
    """Train the three models on what the slowest can read in `budget` CPU seconds (None: a step a point); plain JSON by model."""
    from learners.course import REFERENCE, build, corpus_of, course, seconds_a_step
    from learners.size import COUNTED, equal_flops, equal_parameters, parameters, training_flops

    batch = corpus_of(lesson.data, lesson.vocabulary).train.batch(range(COUNTED))
    model, task = build(REFERENCE, config)
    configs = {  # the one that takes longest first
        REFERENCE: config,
        "equal operations": equal_flops(config, training_flops(model, task, batch), batch),
        "equal parameters": equal_parameters(config, parameters(model)),
    }
    apart = 1
    if budget is not None:
        slowest = max(seconds_a_step(name, shape, lesson) for name, shape in configs.items())
        apart = max(1, int(budget / slowest / points))
    lesson = replace(lesson, options=replace(lesson.options, steps=apart * points, evaluate_every=apart))
    with ProcessPoolExecutor(min(workers, len(configs)), multiprocessing.get_context("spawn")) as pool:
        running = {name: pool.submit(course, name, shape, lesson) for name, shape in configs.items()}
        return {name: future.result() for name, future in running.items()}


def show(title: str, found: dict[str, Any]) -> None:
    """The curves, and what halting does."""
    print(f"\n{title}\n{'':18} {'parameters':>10} {'layers x width':>15} {'MFLOP/token':>12} {'CPU s':>7}")
    for name, model in found.items():
        shape = f"{model['layers']} x {model['width']}"
        flops = model["training_flops"] / 1e6
        print(f"{name:18} {model['parameters']:10,} {shape:>15} {flops:12.2f} {model['cpu_seconds']:7.0f}")
    print(f"\n{'tokens':>10}" + "".join(f"{name:>26}" for name in found))
    print(f"{'':>10}" + f"{'loss':>14}{'solved':>12}" * len(found))
    for points in zip(*(model["points"] for model in found.values()), strict=True):
        row = "".join(f"{point['loss']:14.3f}{percent(point['exact_match']):>12}" for point in points)
        print(f"{points[0]['tokens']:10,}{row}")
    halting(found["reference"]["thinking"], found["reference"]["threshold"])


def halting(found: dict[str, Any], own: float) -> None:
    """The reference model's weights as trained, at each threshold; the curve above was taken at its `own`."""
    print(f"\nhalting in the reference model, by threshold (its own is {own:g})")
    print(f"{'':22} {'solved':>7} {'answers':>8} {'variance':>9} {'saved':>7}  answers by reasoning steps (correlation)")
    for name, values in found.items():
        by_steps = ", ".join(f"{steps}: {used:.2f}" for steps, used in values["answers_used_by_steps"].items())
        related = "none" if values["correlation"] is None else f"{values['correlation']:+.2f}"
        label = name if values["threshold"] > 1 else f"{name} ({values['threshold']:g})"
        numbers = f"{values['answers_used']:8.2f} {values['variance']:9.2f} {percent(values['flops_saved']):>7}"
        print(f"{label:22} {percent(values['exact_match']):>7} {numbers}  {by_steps} ({related})")


def percent(share: float | None) -> str:
    """For a table."""
    return "none" if share is None else f"{100 * share:.1f} %"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gsm8k", type=Path, metavar="FOLDER", help="with train.jsonl and test.jsonl")
    parser.add_argument("--budget", type=float, help=f"CPU seconds of the slowest model, for each data set [{BUDGET:g}]")
    parser.add_argument("--quick", action="store_true", help="a smoke test: nothing is learnt in it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="models trained at the same time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    options = parser.parse_args()
    if (options.budget is not None and options.budget <= 0) or options.workers < 1:
        parser.error("--budget and --workers are above zero")
    if options.gsm8k is not None:
        missing = [name for name in GSM8K_FILES if not (options.gsm8k / name).is_file()]
        if missing:
            parser.error(f"{options.gsm8k} does not hold {' and '.join(missing)}: name the folder of GSM8K")
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, and for the processes that are started
    from cognate.errors import CognateError

    points = QUICK_POINTS if options.quick else POINTS
    budget = options.budget or (None if options.quick else BUDGET)
    found: dict[str, Any] = {}
    try:
        lesson = arithmetic_lesson(options.seed, options.quick)
        found["arithmetic:mixed"] = compare(*lesson, budget, points, options.workers)
        show("arithmetic:mixed", found["arithmetic:mixed"])
        if options.gsm8k is None:
            print("\nGSM8K: not measured: give --gsm8k FOLDER")
        else:
            lesson = gsm8k_lesson(options.gsm8k, options.seed, options.quick)
            found["gsm8k"] = compare(*lesson, budget, points, options.workers)
            show("GSM8K", found["gsm8k"])
        if options.json is not None:
            options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    except (CognateError, OSError) as error:
        sys.exit(f"learn.py: {error}")


if __name__ == "__main__":
    main()

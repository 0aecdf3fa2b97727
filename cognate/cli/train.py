"""`cognate train`: train the reference model, observed like anybody's script."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cognate.cli.common import Format, FormatOption, OutputOption, QuietOption, VerboseOption, examples
from cognate.cli.doctor import fresh
from cognate.cli.run import diagnosed, end_like, new_case
from cognate.errors import UsageError

if TYPE_CHECKING:
    from cognate.train.job import Job

NEEDED = ("torch", "safetensors", "tokenizers", "datasets")
# What the trainer itself goes on writing when a run is resumed; everything else in its folder is evidence about one segment.
CONTINUED = {"checkpoints", "job.json", "training.json", "training.jsonl", "segments"}


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command(
        "train",
        epilog=examples(
            "cognate train --preset phase1 --data synthetic --steps 10",
            "cognate train --preset tiny --data arithmetic",
            "cognate train --preset small --data corpus.jsonl --text-field text --dry-run",
            "cognate train --resume runs/train-20261124-101500",
            "torchrun --nproc-per-node 2 -m cognate train --preset tiny --data arithmetic",
        ),
    )(train)


def train(
    preset: Annotated[str, typer.Option(help="Size of the model: tiny, small, phase1.")] = "phase1",
    specialisation: Annotated[str | None, typer.Option(help="Its character: reasoning, memory, speed.")] = None,
    data: Annotated[
        str, typer.Option(help="synthetic, arithmetic, arithmetic:mixed, a file, a folder, a pattern, or hf:NAME.")
    ] = "synthetic",
    text_field: Annotated[str | None, typer.Option(help="Field that holds the text.")] = None,
    prompt_field: Annotated[str | None, typer.Option(help="Field that holds the prompt; only the answer is scored.")] = None,
    answer_field: Annotated[str | None, typer.Option(help="Field that holds the answer.")] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="tokenizer.json or a name in the local cache; default: learnt from the data.")
    ] = None,
    vocabulary: Annotated[int | None, typer.Option(help="Tokens the model knows; default: the preset's.")] = None,
    sequence: Annotated[int | None, typer.Option(help="Tokens in a row.")] = None,
    validation: Annotated[
        float | None, typer.Option(help="Share of the data held out, where it has no split of its own.")
    ] = None,
    pack: Annotated[bool, typer.Option(help="Put several documents into a row; they do not see each other.")] = True,
    limit: Annotated[int | None, typer.Option(help="Read no more than so many documents.")] = None,
    problems: Annotated[int, typer.Option(min=0, help="Held-out problems solved at the end by free generation.")] = 300,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps.")] = None,
    batch: Annotated[
        int | None, typer.Option(help="Rows in one optimizer step, over all processes; default 64, 16 for tiny.")
    ] = None,
    micro_batch: Annotated[int | None, typer.Option(help="Rows in one forward pass.")] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    warmup: Annotated[int | None, typer.Option(help="Steps of linear warm-up; default: a tenth, 500 at most.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay of the matrices.")] = None,
    clip: Annotated[float | None, typer.Option(help="Largest gradient norm; default 1.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adamw, or muon for the hidden matrices.")] = None,
    precision: Annotated[str | None, typer.Option(help="fp32 or bf16.")] = None,
    compile_model: Annotated[bool | None, typer.Option("--compile", help="Compile the model by torch.compile.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps …")] = None,
    evaluate_every: Annotated[int | None, typer.Option(help="Steps between evaluations; default 100.")] = None,
    patience: Annotated[int | None, typer.Option(help="Evaluations without improvement before it stops; 0: never.")] = None,
    minimum_delta: Annotated[float | None, typer.Option(help="What counts as an improvement of the validation loss.")] = None,
    checkpoint_every: Annotated[int | None, typer.Option(help="Steps between checkpoints; default 500.")] = None,
    keep_last: Annotated[int | None, typer.Option(help="Checkpoints kept besides the best; default 2.")] = None,
    log_every: Annotated[int | None, typer.Option(help="Steps between lines; default 10.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, data order and split.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with a run, or from one of its checkpoints.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print plan, parameters, memory and expected loss; train nothing.")
    ] = False,
    observe: Annotated[bool, typer.Option(help="Record the run and diagnose it at the end.")] = True,
    probe_seconds: Annotated[float, typer.Option(min=0, help="Time that experiments on copies may take.")] = 5.0,
    case: Annotated[
        Path | None, typer.Option("--case", metavar="DIR", help="The run's folder; default: runs/train-TIME.")
    ] = None,
    style: FormatOption = Format.TERMINAL,
    output: OutputOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Train the reference model and diagnose the run.

    A small recursive transformer with adaptive computation time. What is left out takes a value that suits the preset; with
    --resume, the run's own.
    """
    check_installed()
    model = {"vocabulary": vocabulary}
    reading = {
        "source": data,
        "text_field": text_field,
        "prompt_field": prompt_field,
        "answer_field": answer_field,
        "tokenizer": tokenizer,
        "sequence": sequence,
        "validation": validation,
        "pack": pack,
        "limit": limit,
    }
    training = {
        "steps": steps,
        "effective_batch": batch,
        "micro_batch": micro_batch,
        "learning_rate": lr,
        "warmup_steps": warmup,
        "weight_decay": weight_decay,
        "clip_norm": clip,
        "optimizer": optimizer,
        "precision": precision,
        "compile": compile_model,
        "device": device,
        "evaluate_every": evaluate_every,
        "patience": patience,
        "minimum_delta": minimum_delta,
        "checkpoint_every": checkpoint_every,
        "keep_last": keep_last,
        "log_every": log_every,
        "seed": seed,
    }
    if resume is not None:
        job = _resumed(resume, training)
    else:
        from cognate.train.job import make

        job = make(preset, specialisation, model, reading, training, problems)
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    if dry_run or not alone:
        _in_this_process(job, case, resume, dry_run)
        return
    new = resume is None and (case is None or not case.exists())
    folder = _folder(case, resume)
    (folder / "job.json").write_text(job.to_json(), encoding="utf-8")
    arguments = [str(folder / "job.json"), str(folder), *([str(resume)] if resume else [])]
    code = _child(arguments, folder, observe, probe_seconds)
    if new and code == UsageError.exit_code and not (folder / "training.jsonl").exists():
        shutil.rmtree(folder)  # it said what was wrong before it trained: there is nothing to diagnose
        raise typer.Exit(code)
    if observe:
        diagnosed(folder, False, style, output, quiet, verbose)
    end_like(code)


def check_installed() -> None:
    """Raise UsageError where a library that training needs is missing; nothing is imported to find out."""
    from importlib.util import find_spec

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(f"Training needs {', '.join(missing)}, not installed here: pip install 'cognate-ml[train]'.")


def _resumed(resume: Path, training: dict[str, Any]) -> Job:
    """The job that `resume` was saved with, changed where the user says so."""
    from cognate.train import checkpoint
    from cognate.train.job import FILE, Job

    found = checkpoint.latest(resume)
    job = Job.from_json(checkpoint.load(found).read(FILE), found / FILE)
    return replace(job, training=replace(job.training, **{name: value for name, value in training.items() if value is not None}))


def _folder(case: Path | None, resume: Path | None) -> Path:
    """The run's folder: a new one, or that of the resumed run with the evidence of its last segment put aside."""
    if resume is None:
        return fresh(case) if case else new_case("train", Path("runs"))
    run = resume.parent.parent if resume.parent.name == "checkpoints" else resume
    if case is not None and case.resolve() != run.resolve():
        raise UsageError(f"A resumed run goes on in its own folder {run}: leave --case out.")
    evidence = [entry for entry in run.iterdir() if entry.name not in CONTINUED]
    if evidence:
        segments = run / "segments"
        segment = segments / str(1 + (len(list(segments.iterdir())) if segments.exists() else 0))
        segment.mkdir(parents=True)
        for entry in evidence:
            shutil.move(str(entry), segment / entry.name)
    return run


def _in_this_process(job: Job, case: Path | None, resume: Path | None, dry_run: bool) -> None:
    """A dry run, or one of several processes that a launcher started: these are not observed."""
    from cognate.train.execute import execute

    writes = int(os.environ.get("RANK", "0")) == 0
    if dry_run:
        execute(job, Path("runs"), resume=resume, dry_run=True)
        return
    if writes:
        folder = _folder(case, resume)
        print(f"cognate: a run of several processes is not observed; {folder} holds its checkpoints and journal", file=sys.stderr)
    else:
        folder = resume or case or Path("runs")
    execute(job, folder, resume=resume)


def _child(arguments: list[str], folder: Path, observe: bool, probe_seconds: float) -> int:
    """Run the trainer as a process of its own; its exit code."""
    from cognate.observe.live import launch

    if observe:
        package = Path(__file__).parents[1]
        return launch.observe(
            script=None,
            module="cognate.train",
            args=arguments,
            case=folder,
            probe_seconds=probe_seconds,
            program=(package / "model", package / "train"),
        )
    return launch.run_process([sys.executable, "-m", "cognate.train", *arguments], dict(os.environ))

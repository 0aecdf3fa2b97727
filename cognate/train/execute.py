"""From a job to a trained model: data, model, training, the checks at the end, and `training.json` with what was found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from cognate.errors import UsageError
from cognate.model.model import CognateModel
from cognate.train import checkpoint, distributed
from cognate.train.data.corpus import Corpus, load
from cognate.train.exact_match import exact_match
from cognate.train.job import FILE, Job
from cognate.train.loop import Outcome, fit
from cognate.train.objective import LanguageModelling
from cognate.train.plan import named, parameters, plan
from cognate.train.summary import summarise, text

RESULT = "training.json"
TOKENIZER = "tokenizer.json"
CORPUS = "corpus.json"  # the digest of what was trained on, and what follows a prompt


def execute(job: Job, run: Path, *, resume: Path | None = None, dry_run: bool = False) -> dict[str, Any] | None:
    """Train what `job` describes in the folder `run`; the content of `training.json` on the process that writes it.

    With `resume`, a checkpoint or a run, that one is continued. `dry_run` prints the plan and trains nothing. Raises
    CognateError.
    """
    with distributed.joined(job.training.device) as group:
        corpus = _corpus(job, resume)
        model = CognateModel(job.model)
        if dry_run:
            if group.writes:
                print(plan(job, model, corpus, group.world))
            return None
        if group.writes:
            _announce(job, model, corpus, run)
        outcome = fit(
            model,
            LanguageModelling(),
            corpus.train,
            corpus.validation,
            job.training,
            run,
            group=group,
            resume=resume,
            files=_files(job, corpus),
        )
        if not group.writes:
            return None
        return _conclude(job, model, corpus, outcome, run)


def _corpus(job: Job, resume: Path | None) -> Corpus:
    """The job's data. A resumed run reads it by the tokenizer that it began with, and must find it as it was."""
    if resume is None:
        return load(job.data, job.model.vocabulary)
    found = checkpoint.load(checkpoint.latest(resume))
    saved = found.folder / TOKENIZER
    corpus = load(replace(job.data, tokenizer=str(saved)) if saved.is_file() else job.data, job.model.vocabulary)
    if json.loads(found.read(CORPUS))["digest"] != corpus.digest():
        raise UsageError(
            f"{job.data.source} is not what {found.folder} was trained on: give it the data as it was, or start a new run."
        )
    return corpus


def _files(job: Job, corpus: Corpus) -> dict[str, bytes]:
    """What a checkpoint needs beside weights, to be used without its run."""
    about = {"digest": corpus.digest(), "separator": corpus.separator}
    files = {FILE: job.to_json().encode(), CORPUS: json.dumps(about).encode()}
    if corpus.tokenizer is not None:
        files[TOKENIZER] = corpus.tokenizer.to_str().encode()
    return files


def _announce(job: Job, model: CognateModel, corpus: Corpus, run: Path) -> None:
    print(f"{named(job)}: {parameters(model)}")
    bad = corpus.facts.get("bad_rows", [])
    for row in bad[:3]:
        print(f"bad row {row['where']}: {row['reason']}")
    if len(bad) > 3:
        print(f"{corpus.facts['bad_rows_count']:,} bad rows in all, named in {run / RESULT}")


def _conclude(job: Job, model: CognateModel, corpus: Corpus, outcome: Outcome, run: Path) -> dict[str, Any]:
    """Check the best weights, as they will be used, and write down what is known of the run."""
    if outcome.best is not None and outcome.best != outcome.last:
        checkpoint.load(outcome.best).into(model)
    model.eval()
    solved = None
    if corpus.tokenizer is not None and corpus.problems and job.problems and outcome.reason in ("finished", "early stopping"):
        print(f"solving {min(job.problems, len(corpus.problems))} held-out problems by free-running generation", flush=True)
        solved = exact_match(model, corpus.tokenizer, corpus.problems[: job.problems], end=corpus.end)
    result = summarise(job, model, corpus, outcome, solved, run)
    _write(run / RESULT, json.dumps(result, indent=1))
    print(text(result), flush=True)
    return result


def _write(file: Path, content: str) -> None:
    """Write `file` in one step: a reader sees the old one or the new one."""
    temporary = file.with_name(f".{file.name}")
    try:
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        raise UsageError(
            f"{file} cannot be written ({error.strerror}): the checkpoints are complete; make room there."
        ) from error

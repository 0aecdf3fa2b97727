"""Runs the corpus: healthy programs must learn, every fault must change the outcome, every run must be repeatable.

    python -m benchmarks.corpus.verify [ID ...] [-j 2] [--rounds 2] [--observed CORPUS]

Each program runs `--rounds` times; runs are cached by the content of the program, so that an interrupted verification goes on
where it stopped. With `--observed`, what a program printed under `cognate bench CORPUS` counts as one more run: it must print
the same figures there. What was measured goes into `tests/corpus/measured.json`; the command fails when anything does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.corpus.judge import Run, Verdict, changed, learns, values
from benchmarks.corpus.materialise import (
    DEFAULT_OUT,
    FAULTS,
    ROOT,
    CorpusError,
    Fault,
    Program,
    digest,
    fault_ids,
    load_fault,
    load_program,
    write,
)
from benchmarks.corpus.materialise import program_ids as all_programs
from cognate.bench import versions
from cognate.bench.corpus import Program as BenchProgram
from cognate.bench.corpus import read_corpus
from cognate.bench.engine import Options, open_cache
from cognate.case.store import read_rows

MEASURED = ROOT / "tests" / "corpus" / "measured.json"
LIMIT_SECONDS = 240
QUIET = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "PYTHONWARNINGS": "ignore",
    "PYTHONDONTWRITEBYTECODE": "1",
    "CUDA_VISIBLE_DEVICES": "",
}


class Runner:
    """Runs programs and keeps what they printed, by content."""

    def __init__(self, cache: Path, corpus: Path | None = None) -> None:
        self.folder = cache / "verify"
        self._observed = observed_cases(corpus) if corpus else {}
        self.store = cache / "runs"
        self.store.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()

    def run(self, identity: str, files: Mapping[str, str], number: int) -> Run:
        """The run of that number, made now or remembered."""
        path = self.store / f"{digest(files)}-{number}.json"
        if path.is_file():
            return Run(**json.loads(path.read_text()))
        folder = write(files, self.folder / f"{identity}-{number}")
        run = _run(folder)
        with self._lock:
            path.write_text(json.dumps({"code": run.code, "seconds": run.seconds, "output": run.output, "errors": run.errors}))
        return run

    def again(self, identity: str, files: Mapping[str, str], rounds: int) -> list[Run]:
        """`rounds` runs, and one more where it was kept that the program ran under observation."""
        runs = [self.run(identity, files, number) for number in range(rounds)]
        program, case = self._observed.get(identity, (None, Path()))
        if program is not None and program.files == {name: text.encode() for name, text in files.items()}:
            lines = [str(event["text"]) for event in read_rows(case / "events.jsonl") if event.get("kind") == "print"]
            runs.append(Run(runs[0].code, runs[0].seconds, "\n".join(lines) + "\n", runs[0].errors))
        return runs


def _run(folder: Path) -> Run:
    """One run of the program in `folder`; its seconds are those of the processor, which a busy machine changes less."""
    with (folder / ".out").open("w+") as out, (folder / ".err").open("w+") as err:
        process = subprocess.Popen(
            [sys.executable, "train.py"], cwd=folder, env={**os.environ, **QUIET}, stdout=out, stderr=err, start_new_session=True
        )
        stop = threading.Timer(LIMIT_SECONDS, process.kill)
        stop.start()
        _, status, usage = os.wait4(process.pid, 0)
        stop.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        printed, errors = (folder / ".out").read_text(errors="replace"), (folder / ".err").read_text(errors="replace")
    return Run(process.returncode, round(usage.ru_utime + usage.ru_stime, 2), printed, errors[-1500:])


def observed_cases(corpus: Path) -> dict[str, tuple[BenchProgram, Path]]:
    """What the bench recorded of the programs in the folder `corpus`, by id."""
    cache = open_cache(Options(jobs=1), versions.observing(), "")
    places = {program.id: (program, cache.folder(program) / "case") for program in read_corpus(corpus).programs}
    return {identity: place for identity, place in places.items() if place[1].is_dir()}


def verify_program(runner: Runner, program: Program, rounds: int) -> dict[str, Any]:
    """What a healthy program does."""
    runs = runner.again(program.id, program.files, rounds)
    return _record(program.files, runs, learns(runs[0], program.info["metric"]), program.info["metric"], repeatable=True)


def verify_fault(runner: Runner, fault: Fault, rounds: int) -> dict[str, Any]:
    """What a fault does to its base."""
    outcome = fault.info.get("outcome", {"kind": "metric"})
    metric = {**fault.base.info["metric"], **fault.info.get("metric", {})}
    runs = runner.again(fault.id, fault.files, rounds)
    bases = runner.again(fault.base.id, fault.base.files, rounds)
    if outcome.get("kind") == "determinism":
        readings = [values(run.output, metric) for run in runs]
        if min(len(runs), len(bases)) < 2:
            return _record(fault.files, runs, Verdict(False, {}, "one run cannot show it"), metric, repeatable=False)
        same_base = values(bases[0].output, metric) == values(bases[1].output, metric)
        differ = readings[0] != readings[1] and all(readings)
        figures = {"before": [item[-1] for item in readings if item], "after": "equal" if same_base else "different"}
        return _record(fault.files, runs, Verdict(same_base and differ, figures, "two runs agree"), metric, repeatable=False)
    best = runs[0] if outcome.get("kind") != "time" else min(runs, key=lambda item: item.seconds)
    base = bases[0] if outcome.get("kind") != "time" else min(bases, key=lambda item: item.seconds)
    return _record(fault.files, runs, changed(base, best, metric, outcome), metric, repeatable=True)


def _record(
    files: Mapping[str, str], runs: list[Run], verdict: Verdict, metric: Mapping[str, Any], *, repeatable: bool
) -> dict[str, Any]:
    readings = [values(run.output, metric) for run in runs]
    deterministic = None if len(runs) < 2 or not repeatable else all(str(item) == str(readings[0]) for item in readings)
    record: dict[str, Any] = {
        "content": digest(files),
        "metric": metric["name"],
        **verdict.figures,
        "seconds": min(run.seconds for run in runs),
        "deterministic": deterministic,
        "holds": verdict.holds and deterministic is not False,
    }
    if not record["holds"]:
        record["why"] = "" if verdict.holds else verdict.reason
        record["why"] += " two runs differ" if deterministic is False else ""
        if runs[0].code:
            record["why"] += ": " + (runs[0].errors.strip().splitlines() or [""])[-1]
    return record


def main() -> None:
    """Verify what is named, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("ids", nargs="*", help="programs and faults; all when none is named")
    parser.add_argument("-j", "--jobs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2, help="runs of each program; one run cannot show that it is repeatable")
    parser.add_argument("--observed", type=Path, metavar="CORPUS", help="count its runs under `cognate bench` as well")
    parser.add_argument("--cache", type=Path, default=DEFAULT_OUT)
    arguments = parser.parse_args()
    runner = Runner(arguments.cache, arguments.observed)
    wanted = arguments.ids or [*all_programs(), *fault_ids()]
    measured: dict[str, Any] = json.loads(MEASURED.read_text()) if MEASURED.is_file() else {}
    if not arguments.ids:
        measured = {name: record for name, record in measured.items() if name in wanted}
    lock = threading.Lock()

    def one(identity: str) -> None:
        try:
            if (FAULTS / f"{identity}.json").is_file():
                record = verify_fault(runner, load_fault(identity), arguments.rounds)
            else:
                record = verify_program(runner, load_program(identity), arguments.rounds)
        except CorpusError as error:
            record = {"holds": False, "metric": "", "why": str(error)}
        with lock:
            measured[identity] = record
            MEASURED.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n")
            facts = {key: value for key, value in record.items() if key not in ("content", "metric", "holds", "why")}
            print("ok  " if record["holds"] else "FAIL", identity, record["metric"], facts, record.get("why", ""), flush=True)

    with ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(one, wanted))
    failed = [name for name in wanted if not measured[name]["holds"]]
    print(f"{len(wanted) - len(failed)} of {len(wanted)} hold")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()

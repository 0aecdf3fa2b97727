"""Observes and diagnoses the programs of a corpus in parallel, from the cache where it can."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from cognate.bench import versions
from cognate.bench.cache import Cache, Observed, default_root
from cognate.bench.corpus import Program
from cognate.bench.runner import Runner
from cognate.discovery import load_skills
from cognate.errors import CognateError

T = TypeVar("T")

# Fewer cases than this are judged sooner than a pool of processes has loaded the rules.
WORTH_A_POOL = 8


@dataclass(frozen=True)
class Result:
    """One program, observed and diagnosed."""

    program: Program
    run: Observed
    diagnosis: dict[str, Any] | None  # as `--format json` prints it; None where there is no case to judge
    remembered: bool  # whether it was observed before


@dataclass(frozen=True)
class Options:
    """How programs are run."""

    jobs: int
    limit: float = 300.0
    probe_seconds: float = 5.0
    cache: Path | None = None


def open_cache(options: Options, observing: str, judging: str) -> Cache:
    """The cache as runs with `options` see it."""
    return Cache(options.cache or default_root(), observing, judging, f"probes {options.probe_seconds:g}")


def run(programs: Iterable[Program], options: Options, report: Callable[[Result], None] = lambda _: None) -> list[Result]:
    """Observe and diagnose `programs`, telling `report` about each as it is done; returns the results by id.

    Raises CognateError where the code that observes or judges was edited meanwhile: half the results would be another's.
    """
    observing, judging = versions.observing(), versions.judging(load_skills())
    cache = open_cache(options, observing, judging)
    results = []
    with closing(_results(tuple(programs), cache, options)) as stream:
        for result in stream:
            results.append(result)
            report(result)
    if (versions.observing(), versions.judging(load_skills())) != (observing, judging):
        raise CognateError("Cognate's own code or rules changed while the bench ran; run it again: what still holds is kept.")
    return sorted(results, key=lambda result: result.program.id)


def _results(programs: tuple[Program, ...], cache: Cache, options: Options) -> Generator[Result, None, None]:
    missing, unjudged = [], []
    for program in programs:
        known = cache.observed(program)
        if known is None:
            missing.append(program)
        elif (diagnosis := cache.diagnosis(program)) is None and _has_case(cache, program):
            unjudged.append((program, known))
        else:
            yield Result(program, known, diagnosis, True)
    yield from _judged(unjudged, cache, options.jobs)
    yield from _observed(missing, cache, options)


def _observed(programs: list[Program], cache: Cache, options: Options) -> Iterator[Result]:
    runner = Runner(cache, options.limit, options.probe_seconds)

    def one(program: Program) -> Result:
        run = runner.observe(program)
        diagnosis = cache.diagnosis(program)
        if diagnosis is None and not runner.stopped and _has_case(cache, program):
            diagnosis = _keep(program, judge(cache.folder(program) / "case"), cache)
        return Result(program, run, diagnosis, False)

    with ThreadPoolExecutor(options.jobs) as pool:
        for _, result in _finished(pool, [pool.submit(one, program) for program in programs], runner.stop):
            yield result


def _judged(runs: list[tuple[Program, Observed]], cache: Cache, jobs: int) -> Iterator[Result]:
    """Cases from the cache under rules that have changed."""
    if len(runs) < WORTH_A_POOL or jobs < 2:
        for program, run in runs:
            yield Result(program, run, _keep(program, judge(cache.folder(program) / "case"), cache), True)
        return
    # spawn: a copy of this process would inherit its threads' locks.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(judge, cache.folder(program) / "case"): (program, run) for program, run in runs}
        for future, diagnosis in _finished(pool, futures):
            program, run = futures[future]
            yield Result(program, run, _keep(program, diagnosis, cache), True)


def _finished(
    pool: Executor, futures: Iterable[Future[T]], stop: Callable[[], None] = lambda: None
) -> Iterator[tuple[Future[T], T]]:
    """Futures with their results as they are done; on Ctrl-C or an error the rest is called off."""
    try:
        for future in as_completed(list(futures)):
            yield future, future.result()
    except BaseException:
        stop()
        pool.shutdown(wait=True, cancel_futures=True)
        raise


def judge(case: Path) -> dict[str, Any] | None:
    """The diagnosis of `case` by the skills that are installed and no settings; None where it cannot be read."""
    from cognate.case.case import Case
    from cognate.diagnosis import diagnose

    try:
        return diagnose(Case.open(case), load_skills()).to_dict()
    except CognateError:
        return None


def _keep(program: Program, diagnosis: dict[str, Any] | None, cache: Cache) -> dict[str, Any] | None:
    if diagnosis is not None:
        cache.keep_diagnosis(program, diagnosis)
    return diagnosis


def _has_case(cache: Cache, program: Program) -> bool:
    return (cache.folder(program) / "case" / "case.json").is_file()

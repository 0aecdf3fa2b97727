"""`cognate bench`: how accurate the diagnosis is on programs whose fault is known."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cognate.cli.common import Format, FormatOption, OutputOption, QuietOption, examples, write_file

if TYPE_CHECKING:
    from cognate.bench.engine import Result

INTERRUPTED = 130  # what a shell returns for a command that Ctrl-C ended


class Part(str, Enum):
    """Which part of the corpus."""

    DEV = "dev"
    TEST = "test"
    ALL = "all"


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command(
        "bench",
        epilog=examples(
            "cognate bench corpus",
            "cognate bench corpus -j 2 --part dev --family GRAD --family OPT",
            "cognate bench corpus --only 'gpt-*' --format markdown -o accuracy.md",
            "cognate bench corpus --fast --check baseline.json",
        ),
    )(bench)


def bench(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="A folder of programs with the truth about each.")],
    jobs: Annotated[int | None, typer.Option("-j", "--jobs", min=1, help="Programs at a time; default: one a core.")] = None,
    part: Annotated[Part, typer.Option(help="The part that rules may be tuned on, the part that is only reported.")] = Part.ALL,
    family: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only faults of a family, and their twins.")] = None,
    style: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only programs of a style.")] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="ID", help="Only these programs; * stands for anything.")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Only the small subset that the corpus marks.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where runs are kept; default: the user's cache folder.")
    ] = None,
    limit: Annotated[float, typer.Option(min=1, help="Seconds that a program may take.")] = 300.0,
    probe_seconds: Annotated[float, typer.Option(min=0, help="Time that the experiments may take, as in `cognate run`.")] = 5.0,
    confidence: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write how often each rule was right on the test part.")
    ] = None,
    check: Annotated[
        Path | None, typer.Option(metavar="BASELINE", help="An earlier JSON result; exit with 1 where something is worse.")
    ] = None,
    style_of_output: FormatOption = Format.TERMINAL,
    output: OutputOption = None,
    quiet: QuietOption = False,
) -> None:
    """Measure accuracy on programs whose fault is known.

    Each program runs under `cognate run` and is scored by rule names. Runs are kept: only what changed is done again.
    """
    from cognate.bench import baseline, engine, report, versions
    from cognate.bench import confidence as measured
    from cognate.bench.corpus import read_corpus, select
    from cognate.bench.score import score
    from cognate.discovery import all_rules, load_skills

    read = read_corpus(corpus)
    chosen = select(read.programs, part.value, family or (), style or (), only or (), fast)
    before = baseline.read_baseline(check) if check else None
    options = engine.Options(jobs or os.cpu_count() or 1, limit, probe_seconds, out)
    try:
        with _progress(len(chosen), quiet) as tell:
            results = engine.run(chosen, options, tell)
    except KeyboardInterrupt:
        print("cognate: interrupted; what was observed is kept, the same command goes on from there.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    scored = [score(result) for result in results]
    selection = f"{len(chosen)} of {len(read.programs)} programs" if len(chosen) < len(read.programs) else "all programs"
    names = [rule.name for rule in all_rules(load_skills())]
    found = report.document(scored, read.digest, versions.libraries(), names, selection)
    if confidence is not None:
        write_file(confidence, measured.document(scored, read.programs, read.digest, versions.libraries()))
    _deliver(found, style_of_output, output, quiet)
    if before is not None:
        raise typer.Exit(_checked(baseline.compare(found, before), check, quiet))


def _deliver(found: dict[str, Any], style: Format, output: Path | None, quiet: bool) -> None:
    from cognate.bench import report

    text = {Format.JSON: report.as_json, Format.MARKDOWN: report.as_markdown, Format.TERMINAL: report.as_text}[style](found)
    if output is not None:
        write_file(output, text)
    elif not quiet:
        sys.stdout.write(text)


def _checked(comparison: Any, file: Path | None, quiet: bool) -> int:
    for line in comparison.regressions:
        print(line, file=sys.stderr)
    if not quiet:
        absent = f", {comparison.absent} of it were not run" if comparison.absent else ""
        print(
            f"{file}: {len(comparison.regressions)} worse, {comparison.gained} causes more, "
            f"{comparison.compared} programs compared{absent}",
            file=sys.stderr,
        )
    return 1 if comparison.regressions else 0


@contextmanager
def _progress(total: int, quiet: bool) -> Iterator[Callable[[Result], None]]:
    """A function that shows each finished program: a bar on a terminal, a line elsewhere."""
    if quiet:
        yield lambda result: None
    elif sys.stderr.isatty():
        with _bar(total) as tell:
            yield tell
    else:
        done = 0

        def line(result: Result) -> None:
            nonlocal done
            done += 1
            print(f"{done}/{total} {_said(result)}", file=sys.stderr, flush=True)

        yield line


@contextmanager
def _bar(total: int) -> Iterator[Callable[[Result], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (MofNCompleteColumn(), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)

        def advance(result: Result) -> None:
            if result.run.ended != "ok":
                progress.console.print(_said(result), highlight=False, markup=False)
            progress.update(task, advance=1, description=result.program.id)

        yield advance


def _said(result: Result) -> str:
    roots = (result.diagnosis or {}).get("root_causes", [])
    said = ", ".join(root["name"] for root in roots) or (result.diagnosis or {}).get("status", "no diagnosis")
    ended = "" if result.run.ended == "ok" else f" {result.run.ended.upper()}"
    took = "kept" if result.remembered else f"{result.run.seconds:.1f} s"
    return f"{result.program.id}:{ended} {said} ({took})"

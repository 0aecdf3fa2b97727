"""Many runs at once: a table for a terminal or for Markdown, and a list for JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TextIO

from cognate.case.store import finite
from cognate.diagnosis.siblings import Point, RunSummary
from cognate.render import words
from cognate.render.terminal import COLOUR, Page

_HEADS = ("run", "format", "steps", "final loss", "best val", "verdict")
_RIGHT = (2, 3, 4)
_MARK = {**words.STATUS_MARK, "unreadable": words.NOT_CHECKED}
_ORDER = ("unhealthy", "warning", "inconclusive", "healthy", "unreadable")


def render(runs: Sequence[RunSummary], shown_as: str, stream: TextIO, within: str = "", cut: bool = False) -> str:
    """The table as text for `stream`. Names of runs are relative to `within`; `cut` where the search for them was cut short."""
    page = Page(stream)
    page.line((f"{words.plural(len(runs), 'run')} in {shown_as}", "bold"), f": {_tally(runs)}", hang=2)
    if cut:
        page.line("the folder is too large to be searched to its end: name a folder inside it", indent=2)
    page.gap()
    rows = [_cells(run) for run in runs]
    widths = [max(len(row[column]) for row in [_HEADS, *rows]) for column in range(len(_HEADS))]
    page.line((f"  {_aligned(_HEADS, widths)}", "dim"), whole=True)
    for run, row in zip(runs, rows, strict=True):
        page.line((f"{_MARK[run.status]} ", COLOUR.get(run.status, "dim")), _aligned(row, widths), whole=True)
        for text in _below(run):
            page.line(text, indent=4, hang=2)
    page.gap()
    page.line(f"one of them in full: cognate doctor {within}RUN", indent=2)
    return page.text()


def as_markdown(runs: Sequence[RunSummary], shown_as: str) -> str:
    """The table in Markdown."""
    lines = [f"# {words.plural(len(runs), 'run')} in {_escaped(shown_as)}", "", _tally(runs), ""]
    lines += ["| " + " | ".join((*_HEADS, "first finding")) + " |", "|" + " --- |" * (len(_HEADS) + 1)]
    for run in runs:
        lines.append("| " + " | ".join(_escaped(cell) for cell in (*_cells(run), "; ".join(_below(run)))) + " |")
    return "\n".join(lines) + "\n"


def as_json(runs: Sequence[RunSummary], diagnoses: Sequence[dict[str, Any] | None]) -> str:
    """A list with one object a run: its row of the table, and its whole `diagnosis` where it could be read."""
    rows: list[Any] = []
    for run, diagnosis in zip(runs, diagnoses, strict=True):
        row = asdict(run)
        del row["level"], row["columns"]
        rows.append({**row, "diagnosis": diagnosis})
    return json.dumps(finite(rows), ensure_ascii=False, indent=2, default=str) + "\n"


def _tally(runs: Sequence[RunSummary]) -> str:
    counts = Counter(run.status for run in runs)
    return ", ".join(f"{counts[status]} {status}" for status in _ORDER if counts[status])


def _cells(run: RunSummary) -> tuple[str, ...]:
    steps = words.plural(run.steps, run.step_unit) if run.step_unit != "step" else f"{run.steps:,}"
    if run.error:
        steps = ""
    return (run.run, run.format, steps, _value(run.final_loss), _value(run.best_validation), run.status)


def _value(point: Point | None) -> str:
    if point is None:
        return "–"
    return "not finite" if point.value is None else words.value(float(point.value))


def _below(run: RunSummary) -> list[str]:
    """What is said of a run under its row."""
    finding = f"{run.finding} ({run.rule})" if run.finding else ""
    return [text for text in (run.error, finding, f"note: {run.note}" if run.note else "") if text]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if column in _RIGHT else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")

"""What a person sees of a run: a bar in a terminal, plain lines elsewhere, nothing on the processes that do not write."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from typing import Any, Protocol

# What a line shows, besides what the task names.
SHOWN = ("loss", "grad_norm", "lr", "tokens_per_second")


class Progress(Protocol):
    """Shows records of the journal as they come."""

    def show(self, record: Mapping[str, Any]) -> None:
        """A logged step or an evaluation."""
        ...

    def say(self, text: str) -> None:
        """A sentence of its own."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


def progress(steps: int, done: int, writes: bool, shown: Collection[str] = ()) -> Progress:
    """The display that fits standard output; `shown` are statistics of the task that a person wants to watch."""
    if not writes:
        return Silent()
    names = frozenset((*SHOWN, *shown))
    return Bar(steps, done, names) if sys.stdout.isatty() else Lines(steps, names)


class Silent:
    """Shows nothing."""

    def show(self, record: Mapping[str, Any]) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Lines:
    """One line a record: `step 20/300 | loss 2.3456 | grad_norm 0.98 | lr 3.0e-04 | 12,345 tokens/s`."""

    def __init__(self, steps: int, shown: Collection[str]) -> None:
        self._steps, self._shown = steps, shown

    def show(self, record: Mapping[str, Any]) -> None:
        """Print the record."""
        of = f"/{self._steps}" if "loss" in record else ""
        print(f"step {record['step']}{of}", *columns(record, self._shown), sep=" | ", flush=True)

    def say(self, text: str) -> None:
        """Print the sentence."""
        print(text, flush=True)

    def close(self) -> None:
        """Nothing is open."""


class Bar:
    """A bar with the time that is left and the columns of the last logged step; evaluations stay above it."""

    def __init__(self, steps: int, done: int, shown: Collection[str]) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress
        from rich.table import Column

        values = Column(no_wrap=True, overflow="ellipsis", ratio=1)  # a narrow terminal cuts these, and not the count of steps
        self._shown = shown
        self._bar = RichProgress(
            TextColumn("step"),
            MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=2 * len(str(steps)) + 1)),
            BarColumn(bar_width=12),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
            TextColumn("{task.fields[columns]}", markup=False, table_column=values),
            expand=True,
        )
        self._task = self._bar.add_task("step", total=steps, completed=done, columns="")
        self._bar.start()

    def show(self, record: Mapping[str, Any]) -> None:
        """Move the bar, or print an evaluation above it."""
        shown = " | ".join(columns(record, self._shown))
        if "loss" in record:
            self._bar.update(self._task, completed=record["step"], columns=shown)
        else:
            self.say(f"step {record['step']} | {shown}")

    def say(self, text: str) -> None:
        """Print the sentence above the bar."""
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Stop drawing."""
        self._bar.stop()


def columns(record: Mapping[str, Any], shown: Collection[str]) -> list[str]:
    """The values of a record that are `shown`: losses to four places, rates in scientific notation, as is usual."""
    values = []
    for name, value in record.items():
        if name.removeprefix("val_") not in shown:
            continue
        if name == "tokens_per_second":
            values.append(f"{value:,.0f} tokens/s")
        elif name == "lr":
            values.append(f"lr {value:.1e}")
        elif "loss" in name:
            values.append(f"{name} {value:.4f}")
        else:
            values.append(f"{name} {value:.3g}")
    return values

"""Large logs by columns: read a piece at a time, thinned where they outgrow the memory they are given.

The same roles and counters as for small logs, computed by polars.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from cognate.errors import CaseError
from cognate.observe.logs import text
from cognate.observe.logs.counting import Plan
from cognate.observe.logs.load import Parser
from cognate.observe.logs.roles import assign
from cognate.observe.logs.run import ForeignRun
from cognate.observe.logs.table import MOST_NAMES, Layout, Log, Record, finished, is_clock, lay_out, origin_of_time

# No report needs more points of a curve; a year at one line every twenty seconds is as many.
MOST_ROWS = 1_500_000
# Numbers in memory: 320 MB of them.
MOST_CELLS = 40_000_000
# Of so many lines at first, later of a multiple, the telling ones are kept; at most about ten are.
_BUCKET = 32
_LINE = "\0line"  # no log has a column of this name: its names are printable
_Item = TypeVar("_Item")


def run_of_pieces(log: Log, parser: Parser) -> ForeignRun:
    """The run in the file of `log`, whatever its size. Raises CaseError where it cannot be read or holds no number."""
    import polars as pl

    kept: list[Any] = []
    names: set[str] = set()
    held = lines = bucket = 0
    for piece, last in _with_last(text.pieces(log.file, log.losses)):
        frame = parser.frame(piece)
        if frame is None:
            frame = _frame(list(parser.records(piece, last)), log)
        if all(frame[name].null_count() for name in frame.columns):  # there may be lines of blanks, which are no rows
            frame = frame.filter(pl.any_horizontal(pl.all().is_not_null()))
        if frame.is_empty():
            continue
        frame = _narrowed(frame, names, log)
        frame = frame.with_columns(pl.int_range(lines, lines + frame.height, dtype=pl.Int64).alias(_LINE))
        lines += frame.height
        kept.append(_thinned(frame, bucket) if bucket else frame)
        held += kept[-1].height
        if held > min(MOST_ROWS, MOST_CELLS // max(1, len(names))):
            bucket = bucket * 4 or _BUCKET
            kept = [_thinned(pl.concat(kept, how="diagonal"), bucket)]
            held = kept[0].height
    parser.close()
    if not kept:
        raise CaseError(f"{log.file} holds no number that was logged: give the log of a run that trained.")
    if bucket:
        log.facts["thinned"] = {"rows": lines, "kept": held}
        log.losses.note(f"rows of which {held:,} are kept (first, last, lowest, highest, and not finite ones)", count=lines)
    return _finish(pl.concat(kept, how="diagonal").drop(_LINE), log)


def _with_last(items: Iterable[_Item]) -> Iterator[tuple[_Item, bool]]:
    before: list[_Item] = []
    for item in items:
        if before:
            yield before.pop(), False
        before.append(item)
    if before:
        yield before.pop(), True


def _frame(records: Sequence[Record], log: Log) -> Any:
    import polars as pl

    counts: dict[str, int] = {}
    for record in records:
        for name in record:
            counts[name] = counts.get(name, 0) + 1
    most = min(MOST_NAMES, max(1, MOST_CELLS // max(1, len(records))))
    if len(counts) > most:
        log.losses.note("columns left out of a part of the log that has too many", count=len(counts) - most)
        counts = dict(sorted(counts.items(), key=lambda item: -item[1])[:most])
    values = {name: [record.get(name) for record in records] for name in counts}
    return pl.DataFrame(values, schema=dict.fromkeys(counts, pl.Float64))


def _narrowed(frame: Any, names: set[str], log: Log) -> Any:
    """`frame` without columns that would make more than MOST_NAMES of all; `names` are those so far, and get its own."""
    new = [name for name in frame.columns if name not in names]
    over = new[max(0, MOST_NAMES - len(names)) :]
    log.losses.note(f"columns left out beyond the first {MOST_NAMES:,}", count=len(over))
    names.update(new[: len(new) - len(over)])
    return frame.drop(over) if over else frame


def _thinned(frame: Any, bucket: int) -> Any:
    """Of each `bucket` lines the first, those with the least and the greatest of each main series, and what is not finite."""
    import polars as pl

    line = pl.col(_LINE)
    roles = assign([name for name in frame.columns if name != _LINE])
    main = [name for name, role in roles.items() if role in ("loss", "val_loss", "grad_norm")]
    main = main or [name for name, role in roles.items() if role.startswith("user.")][:3]
    odd = pl.any_horizontal(pl.col(name).is_finite().not_().fill_null(False) for name in main or [_LINE])
    wanted = [line.first().alias("a"), line.filter(odd).first().alias("b"), line.filter(odd).last().alias("c")]
    for number, name in enumerate(main):
        column = pl.col(name).fill_nan(None)
        wanted += [line.get(column.arg_min()).alias(f"{number}l"), line.get(column.arg_max()).alias(f"{number}h")]
    chosen = frame.group_by(line // bucket).agg(wanted).drop(_LINE)
    lines = pl.concat([*(chosen[name] for name in chosen.columns), frame[_LINE].tail(1)]).drop_nulls().unique()
    return frame.join(lines.alias(_LINE).to_frame(), on=_LINE, how="semi").sort(_LINE)


def _finish(frame: Any, log: Log) -> ForeignRun:
    import polars as pl

    counts = {name: count for name, count in zip(frame.columns, frame.select(pl.all().count()).row(0), strict=True) if count}
    frame = frame.select(list(counts))
    layout = _simple(frame, counts) or lay_out(
        counts, frame.height, lambda name: frame[name].to_list(), lambda names: _masks(frame, names)
    )
    plan = layout.plan
    if not plan.plain:
        targets = pl.Series(_LINE, plan.target)
        grouped = frame.with_columns(targets).group_by(_LINE, maintain_order=True)
        frame = grouped.agg(pl.all().drop_nulls().last()).sort(_LINE).drop(_LINE)
    series: dict[str, Any] = {"step": _column(plan.steps)}
    if any(plan.segments):
        series["segment"] = _column(plan.segments).replace(0, None)
    series.update(_values(frame, layout))
    return finished(log, layout, series=series)


def _column(values: Sequence[int]) -> Any:
    import polars as pl

    return values if isinstance(values, pl.Series) else pl.Series(values, dtype=pl.Int64)


def _values(frame: Any, layout: Layout) -> dict[str, Any]:
    clock = layout.named("t")
    if clock is not None:
        times = frame[clock].to_list()
        if is_clock(times, layout.plan.segments):
            start, unit = origin_of_time(times)
            frame = frame.with_columns((frame[clock] - start) / unit)
        else:
            layout.roles[clock] = f"user.{clock}"
    return {role: frame[name] for name, role in layout.roles.items() if role != "step"}


def _simple(frame: Any, counts: dict[str, int]) -> Layout | None:
    """The layout of a log whose step rises with every line, which most large ones are; None for any other."""
    roles = assign(list(counts), counts)
    name = next((name for name, role in roles.items() if role == "step"), None)
    if name is None or counts[name] < frame.height:
        return None
    step = frame[name]
    if not step.is_finite().all() or not (step.diff().drop_nulls() > 0).all() or not (step == step.floor()).all():
        return None
    if abs(step[0]) > 2**53 or abs(step[-1]) > 2**53:
        return None
    whole = step.cast(int)
    return Layout(roles, Plan("step", range(len(whole)), whole, [0] * len(whole)))


def _masks(frame: Any, names: Sequence[str]) -> list[int]:
    import polars as pl

    # An integer has so many bits to give away; columns that share one are only kept apart more often than they need be.
    shared: dict[int, list[Any]] = {}
    for index, name in enumerate(names):
        shared.setdefault(1 << min(index, 60), []).append(pl.col(name).is_not_null())
    bits = [pl.when(pl.any_horizontal(present)).then(bit).otherwise(0) for bit, present in shared.items()]
    if not bits:
        return [0] * int(frame.height)
    return list(frame.select(pl.sum_horizontal(bits).alias("mask"))["mask"])

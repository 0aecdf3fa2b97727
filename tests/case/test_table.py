"""The table of metrics: rows and columns say the same, whoever read them."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cognate.case.case import Case
from cognate.case.packed import pack_fast, pack_plainly
from cognate.case.store import dumps, read_rows
from cognate.case.table import Columns, Rows, read_table

values = st.one_of(st.floats(allow_nan=False, allow_infinity=False, width=32), st.integers(-(2**40), 2**40))
names = st.sampled_from(["acc", "val/top 5", 'a "quoted" one', "été", "loss:", "user"])


@st.composite
def lines(draw):
    row = {"step": draw(st.integers(0, 10**6))}
    for name in draw(st.sets(st.sampled_from(["loss", "val_loss", "lr", "grad_norm", "epoch", "segment"]))):
        if draw(st.integers(0, 4)):
            row[name] = draw(values) if name != "segment" else draw(st.integers(0, 3))
        elif name != "segment":
            row[name] = None
            row.setdefault("nonfinite", {})[name] = draw(st.sampled_from(["nan", "inf", "-inf"]))
    if draw(st.booleans()):
        row["user"] = draw(st.dictionaries(names, values, max_size=3))
        if row["user"] and draw(st.booleans()):
            name = sorted(row["user"])[0]
            row["user"][name] = None
            row.setdefault("nonfinite", {})[f"user.{name}"] = "nan"
    if draw(st.booleans()):
        row["optimizer"] = draw(st.sampled_from(["adam#0", "sgd#1"]))
    if draw(st.booleans()):
        row["clip_value"] = draw(st.booleans())
    if draw(st.booleans()):
        row["of a later version"] = {"deep": [1, {"a": None}]}
    junk = draw(st.sampled_from(["", "", "", "[1]\n", "{torn\n", "\n", "\x00\n"]))
    return junk, row


def written(rows):
    return "".join(junk + dumps(row) + "\n" for junk, row in rows)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(lines(), max_size=12), tail=st.sampled_from(["", '{"step": 7, "lo', '{"step": 9, "loss": 1.5}']), data=st.data()
)
def test_columns_read_by_either_parser_are_the_rows_of_the_file(tmp_path_factory, rows, tail, data):
    file = tmp_path_factory.mktemp("table") / "metrics.jsonl"
    file.write_text(written(rows) + tail, encoding="utf-8")
    block = data.draw(st.integers(60, 4000))
    known = [
        {key: cell for key, cell in row.items() if key not in ("of a later version",) and cell != {}} for row in read_rows(file)
    ]
    fast = read_table(file, large=0, block=block, pack=pack_fast)
    plain = read_table(file, large=0, block=block, pack=pack_plainly)
    small = read_table(file)
    assert isinstance(small, Rows) and isinstance(fast, Columns)
    assert list(fast) == list(plain) == known
    assert fast == plain and list(reversed(fast)) == known[::-1] and list(fast[1:3]) == known[1:3]
    assert fast.names == plain.names
    assert set(fast.names) == {name for name in small.names if name != "of a later version"}
    for name in small.names:
        if name in ("optimizer", "of a later version"):
            continue
        where, taken = small.take(name)
        for table in (fast, plain):
            assert table.has(name) or name.startswith("user.")
            assert (list(table.take(name)[0]), table.take(name)[1]) == (list(where), taken)
            assert all(table.flag(row, name) == small.flag(row, name) for row in where)
    for name in ("optimizer", "segment"):
        assert fast.texts(name) == plain.texts(name) == small.texts(name)


def test_a_large_file_is_read_in_blocks_and_judged_like_a_small_one(tmp_path):
    (tmp_path / "case.json").write_text('{"schema": "cognate.case/1", "kind": "run", "origin": "log"}')
    with (tmp_path / "metrics.jsonl").open("w") as file:
        for step in range(120_000):
            row = {"step": step, "loss": 1 / (1 + step), "lr": 1e-3}
            file.write(json.dumps(row) + "\n")
        file.write('{"step": 120000, "loss": null, "nonfinite": {"loss": "nan"}}\n{"step": 1200')
    case = Case.open(tmp_path)
    assert isinstance(case.metrics, Columns) and len(case.metrics) == 120_001 and case.steps == 120_000
    assert case.metrics[-1] == {"step": 120_000, "loss": None, "nonfinite": {"loss": "nan"}}
    assert case.metrics[5]["loss"] == pytest.approx(1 / 6) and math.isclose(case.metrics[-2]["lr"], 1e-3)
    with pytest.raises(IndexError):
        case.metrics[200_000]


def test_an_endless_line_and_a_missing_file_are_no_rows(tmp_path):
    file = tmp_path / "metrics.jsonl"
    assert read_table(file) == []
    file.write_bytes(b"[" * 5_000_000 + b"\n" + b'{"step":1,"loss":2.0}\n')
    for pack in (pack_fast, pack_plainly):
        assert list(read_table(file, large=0, block=1 << 18, pack=pack))[-1:] == [{"step": 1, "loss": 2.0}]

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from cognate.observe.logs import write
from cognate.observe.logs.run import ForeignRun
from cognate.observe.logs.write import rows_of, write_metrics

values = st.one_of(st.none(), st.floats(), st.integers(-(2**40), 2**40).map(float))
names = st.lists(st.text(max_size=6).map("user.".__add__) | st.sampled_from(["loss", "lr", "val_loss"]), unique=True, max_size=4)


@st.composite
def columns(draw):
    length = draw(st.integers(1, 12))
    series = {"step": list(range(length)), "segment": draw(st.lists(st.none() | st.just(1), min_size=length, max_size=length))}
    for name in draw(names):
        series[name] = draw(st.lists(values, min_size=length, max_size=length))
    return series


@given(columns())
def test_many_rows_are_written_as_few_are(tmp_path_factory, series):
    file = tmp_path_factory.mktemp("case") / "metrics.jsonl"
    write._write_columns(series, len(series["step"]), file)
    lines = file.read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    assert [json.loads(line, parse_constant=lambda word: 1 / 0) for line in lines] == list(rows_of(series))


def test_a_million_rows_take_the_fast_way_and_small_ones_need_no_polars(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "_BLOCK", 7_000)
    count = write._FEW + 1
    series = {"step": range(count), "loss": [math.nan if step == 9_000 else 1 / (step + 1) for step in range(count)]}
    assert write_metrics(ForeignRun("any", "run", series=series), tmp_path / "metrics.jsonl") == count - 1
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == list(rows_of(series))
    assert rows[9_000] == {"step": 9_000, "loss": None, "nonfinite": {"loss": "nan"}}
    monkeypatch.setattr(write, "_write_columns", None)
    series = {"step": [1, 2], "loss": [0.5, None]}
    assert write_metrics(ForeignRun("any", "run", series=series), tmp_path / "metrics.jsonl") == 2

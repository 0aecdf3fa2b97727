"""Large logs by pieces: the same run as read at once, whatever its size, in the memory that they are given."""

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cognate.observe.logs import frames, recognise, text
from cognate.observe.logs.write import rows_of

NAMES = ["step", "epoch", "time", "train_loss", "train_loss_epoch", "val_loss", "lr", "acc", "note"]
cells = st.one_of(
    st.none(),
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 4)),
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1e-300, "word", "1,000", "1_0", " "]),
)


@st.composite
def tables(draw):
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=6, unique=True).filter(lambda some: set(some) - {"note"}))
    rows = []
    for step in range(draw(st.integers(1, 60))):
        counter = draw(st.sampled_from([step, step, step, step, max(0, step - 2), None]))
        rows.append({name: counter if name in ("step", "epoch") else draw(cells) for name in names})
    return names, rows


def as_csv(names, rows):
    def cell(value):
        text = "" if value is None else str(value)
        return f'"{text}"' if "," in text else text

    return "".join(",".join(map(cell, line)) + "\n" for line in [names, *([row[name] for name in names] for row in rows)])


def as_lines(names, rows):
    return "".join(json.dumps({name: value for name, value in row.items() if value != " "}) + "\n" for row in rows)


def read(file):
    found = recognise(file)
    if found is None:
        return None
    run = found[0].read(found[1])
    rows = run.rows if run.series is None else [row for row in rows_of(run.series) if set(row) - {"step", "segment"}]
    return rows, run.columns, {**run.facts, "thinned": None}, run.errors, run.origin


@given(tables(), st.sampled_from([as_csv, as_lines]), st.sampled_from([40, 200, 5000]))
@example((["step", "train_loss"], [{"step": n, "train_loss": 1 / (n + 1)} for n in range(50)]), as_csv, 200)
@example((["step", "train_loss"], [{"step": n, "train_loss": math.nan} for n in range(50)]), as_lines, 200)
def test_by_pieces_it_is_the_same_run(tmp_path_factory, table, writer, piece):
    file = tmp_path_factory.mktemp("run") / "log.txt"
    file.write_text(writer(*table))
    with pytest.MonkeyPatch.context() as patch:
        small = caught(file)
        patch.setattr(text, "SMALL", -1)
        patch.setattr(text, "PIECE", piece)
        assert caught(file) == small


def caught(file):
    from cognate.errors import CaseError

    try:
        return read(file)
    except CaseError as error:
        return str(error)


def test_a_log_that_outgrows_its_memory_is_thinned_and_keeps_what_tells(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "SMALL", 0)
    monkeypatch.setattr(text, "PIECE", 20_000)
    monkeypatch.setattr(frames, "MOST_ROWS", 2_000)
    loss = [2.0 + math.sin(step) / 10 for step in range(30_000)]
    loss[12_345], loss[20_001], loss[23_456], loss[29_000] = 50.0, math.nan, -7.0, math.inf
    file = tmp_path / "log.csv"
    val = {999: 0.25, 15_015: 9.0}
    file.write_text("step,loss,val_loss\n" + "".join(f"{step},{value},{val.get(step, '')}\n" for step, value in enumerate(loss)))
    reader, found = recognise(file)
    run = reader.read(found)
    rows = {row["step"]: row for row in rows_of(run.series)}
    assert len(rows) <= 2_000
    assert {0, 999, 12_345, 15_015, 20_001, 23_456, 29_000, 29_999} <= set(rows)
    assert rows[12_345]["loss"] == 50.0 and rows[20_001]["nonfinite"] == {"loss": "nan"} and rows[15_015]["val_loss"] == 9.0
    assert run.facts["thinned"] == {"rows": 30_000, "kept": len(rows)}
    assert f"rows of which {len(rows):,} are kept" in run.errors[0] and "30,000" in run.errors[0]


def test_one_endless_line_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "SMALL", 0)
    monkeypatch.setattr(text, "PIECE", 1 << 18)
    file = tmp_path / "log.jsonl"
    file.write_text('{"step": 1, "loss": 1}\n' * 10 + '{"step": ' + "9" * (3 << 20) + "}\n" + '{"step": 2, "loss": 2}\n')
    reader, found = recognise(file)
    run = reader.read(found)
    assert run.facts["unreadable"] == 1 and list(run.series["step"])[-1] == 2


def test_many_rare_names_stay_within_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "MOST_CELLS", 20_000)
    monkeypatch.setattr(frames, "MOST_NAMES", 50)
    monkeypatch.setattr(text, "SMALL", 0)
    file = tmp_path / "log.jsonl"
    file.write_text("".join(json.dumps({"step": n, "loss": 0.5, f"metric_{n}": 1.0}) + "\n" for n in range(3_000)))
    reader, found = recognise(file)
    run = reader.read(found)
    assert run.columns["step"] == "step" and run.columns["loss"] == "loss"
    assert len(run.columns) <= 50 and len(run.columns) * len(run.series["step"]) <= 20_000
    assert any("columns left out" in error for error in run.errors)

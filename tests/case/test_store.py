"""Files of a case as they lie about after crashes: torn, full of junk, written by strangers."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cognate.case.store import Appender, dumps, finite, read_json, read_rows, write_json
from cognate.errors import CaseError

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=15,
)
rows = st.lists(st.dictionaries(st.text(max_size=8), anything, max_size=4), max_size=6)
in_a_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def refuse(word: str) -> float:
    raise AssertionError(f"{word} is not JSON")


@given(anything)
def test_what_is_written_is_strict_json(value):
    text = dumps(value)
    assert "\n" not in text
    assert json.loads(text, parse_constant=refuse) == json.loads(json.dumps(finite(value)))


@given(st.floats())
def test_only_numbers_that_are_not_finite_become_null(value):
    assert finite(value) == (value if math.isfinite(value) else None)
    assert finite({"a": [(value,)]}) == {"a": [[finite(value)]]}


def test_what_json_cannot_say_is_said_in_words():
    assert json.loads(dumps({"path": Path("a/b"), "set": {1}})) == {"path": "a/b", "set": "{1}"}


@in_a_folder
@given(rows=rows, data=st.data())
def test_a_file_cut_anywhere_yields_the_rows_before_the_cut(tmp_path, rows, data):
    file = tmp_path / "rows.jsonl"
    file.unlink(missing_ok=True)
    appender = Appender(file)
    appender.write(*rows)
    appender.close()
    whole = file.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    file.write_bytes(whole[:cut])
    seen = list(read_rows(file))
    expected = [json.loads(dumps(row)) for row in rows]
    assert seen == expected[: len(seen)]
    assert len(seen) in (whole[:cut].count(b"\n"), whole[:cut].count(b"\n") + 1)


@in_a_folder
@given(junk=st.binary(max_size=60))
def test_junk_between_rows_costs_only_its_own_line(tmp_path, junk):
    file = tmp_path / "rows.jsonl"
    line = junk.replace(b"\n", b"").replace(b"\r", b"")
    file.write_bytes(b'{"a":1}\n' + line + b'\n{"a":2}\n')
    seen = list(read_rows(file))
    assert seen[0] == {"a": 1} and seen[-1] == {"a": 2} and len(seen) in (2, 3)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\0\0\0\0",
        b"[1,2]",
        b"3",
        b'"text"',
        b"null",
        b"{",
        b'{"a":',
        b"\xff\xfe",
        b"NaN",
        b"[" * 5000,
        b"{" * 5000,
    ],
)
def test_lines_that_are_no_rows_are_passed_over(tmp_path, line):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"a":1}\n' + line + b'\n{"a":2}')
    assert list(read_rows(file)) == [{"a": 1}, {"a": 2}]


def test_where_there_is_no_file_there_are_no_rows(tmp_path):
    assert list(read_rows(tmp_path / "absent.jsonl")) == []
    assert list(read_rows(tmp_path)) == []


def test_appenders_add_to_what_is_there(tmp_path):
    for number in (1, 2):
        appender = Appender(tmp_path / "rows.jsonl")
        appender.write({"n": number}, {"n": -number})
        appender.write()
        appender.close()
        appender.close()
    assert [row["n"] for row in read_rows(tmp_path / "rows.jsonl")] == [1, -1, 2, -2]


def test_text_that_utf_8_cannot_hold_is_written_all_the_same(tmp_path):
    appender = Appender(tmp_path / "rows.jsonl")
    appender.write({"text": "a\ud800b"})
    appender.close()
    write_json(tmp_path / "one.json", {"text": "a\ud800b"})
    assert next(read_rows(tmp_path / "rows.jsonl"))["text"] == read_json(tmp_path / "one.json")["text"] == "a?b"


def test_documents_are_replaced_as_a_whole(tmp_path):
    file = tmp_path / "one.json"
    write_json(file, {"a": float("nan")})
    write_json(file, {"b": 1})
    assert read_json(file) == {"b": 1}
    assert os.listdir(tmp_path) == ["one.json"]  # noqa: PTH208


@pytest.mark.parametrize("content", [b"", b"{", b"\0", b"[" * 5000, None])
def test_a_document_that_cannot_be_read_is_one_sentence(tmp_path, content):
    file = tmp_path / "one.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CaseError, match=r"one\.json cannot be read as JSON"):
        read_json(file)

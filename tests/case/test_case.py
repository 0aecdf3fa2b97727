"""A case on disk and in memory: opened, refused, read lazily."""

from __future__ import annotations

import pytest

from cognate.case.case import Case
from cognate.case.store import Appender, write_json
from cognate.errors import CaseError


def append(folder, name, *rows):
    appender = Appender(folder / f"{name}.jsonl")
    appender.write(*rows)
    appender.close()


@pytest.fixture
def folder(tmp_path):
    write_json(tmp_path / "case.json", {"schema": "cognate.case/1", "kind": "run", "integrity": {"steps_seen": 0}})
    append(tmp_path, "metrics", {"step": 0, "loss": 2.0}, {"step": 1, "loss": None, "nonfinite": {"loss": "nan"}})
    append(tmp_path, "events", {"kind": "b", "n": 3, "x": 1}, {"kind": "a", "n": 1}, {"kind": "b", "n": 2, "x": 2})
    append(
        tmp_path,
        "probes",
        {"probe": "p", "status": "ok", "result": 1},
        {"probe": "p", "status": "not_run", "reason": "first"},
        {"probe": "q", "status": "not_run", "reason": "second"},
    )
    return tmp_path


def test_everything_that_is_there(folder):
    case = Case.open(str(folder))
    assert [row["step"] for row in case.metrics] == [0, 1] and case.steps == 1
    assert [event["n"] for event in case.all_events] == [1, 2, 3]
    assert [event["n"] for event in case.events("b")] == [2, 3] and case.events("b", x=1)[0]["n"] == 3
    assert case.events("absent") == [] and case.events("b", y=1) == []
    assert len(case.probe("p")) == 1 and case.probe("q") == []
    assert (case.probe_reason("q"), case.probe_reason("none")) == ("second", None)


def test_what_is_absent_is_empty(folder):
    case = Case.open(folder)
    assert (case.model, case.environment, case.layers, case.trace, case.source, case.trees) == ({}, {}, [], [], {}, {})
    assert case.calls == {}


def test_calls_are_summed_over_segments():
    case = Case.of(
        events=[{"kind": "call_counts", "counts": {"step": 2}}, {"kind": "call_counts", "counts": {"step": 3, "x": 1}}]
    )
    assert case.calls == {"step": 5, "x": 1}


def test_sources_that_do_not_parse_are_left_out(folder):
    (folder / "source" / "pkg").mkdir(parents=True)
    (folder / "source" / "good.py").write_text("x = 1\n")
    (folder / "source" / "pkg" / "bad.py").write_text("x = (\n")
    (folder / "source" / "null.py").write_bytes(b"x = '\0\xff'\n")
    case = Case.open(folder)
    assert sorted(case.source) == ["good.py", "null.py", "pkg/bad.py"]
    assert "good.py" in case.trees and "pkg/bad.py" not in case.trees


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not a case"),
        ("[]", "does not hold an object"),
        ("", "cannot be read as JSON"),
        ("\0", "cannot be read as JSON"),
    ],
)
def test_what_is_no_case_is_refused_in_one_sentence(tmp_path, content, message):
    if content is not None:
        (tmp_path / "case.json").write_text(content)
    with pytest.raises(CaseError, match=message) as refused:
        Case.open(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(CaseError, match=r"There is no .*absent"):
        Case.open(tmp_path / "absent")


def test_documents_of_another_shape_are_empty(folder):
    write_json(folder / "model.json", ["not", "an", "object"])
    assert Case.open(folder).model == {}


def test_a_document_that_is_torn_is_a_case_error_and_nothing_else(folder):
    (folder / "model.json").write_text('{"roots": [')
    with pytest.raises(CaseError, match=r"model\.json"):
        _ = Case.open(folder).model


def test_training_is_read_where_it_is_of_a_known_schema(folder):
    write_json(folder / "training.json", {"schema": "cognate.training/1", "steps": 3, "new": 1})
    append(folder, "training", {"step": 1, "loss": 2.0}, {"resumed_at": 1}, {"step": "x"})
    case = Case.open(folder)
    assert case.training == {"schema": "cognate.training/1", "steps": 3, "new": 1}
    assert case.training_log == [{"step": 1, "loss": 2.0}]


@pytest.mark.parametrize(
    "content",
    [None, "", "\0", "[]", "3", "{}", '{"schema": "cognate.training/1"', '{"schema": "cognate.training/2"}', '{"schema": ["x"]}']
    + ['{"schema": "cognate.training/1", "data": ' + "[" * depth + "]" * depth + "}" for depth in (30, 100_000)],
)
def test_training_that_is_absent_torn_or_foreign_is_none(folder, content):
    if content is not None:
        (folder / "training.json").write_text(content)
    assert Case.open(folder).training is None
    assert Case.open(folder).training_log == []


def test_training_in_memory():
    assert Case.of(training={"schema": "cognate.training/1"}).training == {"schema": "cognate.training/1"}
    assert Case.of(training="x").training is None


@pytest.mark.parametrize("kind", ["step", "n"])
def test_rows_with_odd_values_do_not_stop_the_reading(kind):
    case = Case.of(events=[{"kind": "a", "n": 1}, {"kind": None}, {}], metrics=[{"loss": 1.0}])
    assert len(case.all_events) == 3 and case.steps == 0

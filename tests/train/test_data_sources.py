"""Files of every kind become documents, and every row that cannot is named with its place and its reason."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from cognate.errors import UsageError
from cognate.train.data.corpus import DataOptions, load
from cognate.train.data.files import BLOCK
from cognate.train.data.sources import read

PAIRS = [{"question": f"What is {n}?", "answer": f"It is {n}.\n#### {n}"} for n in range(60)]


def write(path: Path, rows: list) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def reading(source: Path | str, **options):
    return read(DataOptions(source=str(source), **options))


def named(facts) -> list[tuple[str, str]]:
    return [(bad["where"], bad["reason"]) for bad in facts["bad_rows"]]


def test_each_bad_row_of_jsonl_is_named(tmp_path):
    file = tmp_path / "data.jsonl"
    good = json.dumps({"text": "fine"}).encode()
    lines = [
        good,
        b"{broken",
        b'{"other": 1}',
        b'{"text": " "}',
        b'{"text": 7}',
        b"",
        b'{"text": "\xff"}',
        b"[1]",
        b'{"text": "\\ud800"}',
        good,
    ]
    file.write_bytes(b"\n".join(lines))

    result = reading(file)

    assert [document.where for document in result.documents] == [f"{file}:1", f"{file}:10"]
    assert named(result.facts) == [
        (f"{file}:2", "not valid JSON"),
        (f"{file}:3", "field 'text' is missing"),
        (f"{file}:4", "field 'text' is empty"),
        (f"{file}:5", "field 'text' holds int, not text"),
        (f"{file}:7", "not UTF-8"),
        (f"{file}:8", "holds list, not an object with fields"),
        (f"{file}:9", "field 'text' is not valid Unicode"),
    ]
    assert (result.facts["rows"], result.facts["bad_rows_count"]) == (9, 7)
    json.dumps(result.facts)


def test_more_bad_rows_than_are_named_are_still_counted(tmp_path):
    result = reading(write(tmp_path / "data.jsonl", [{"text": "fine"}, *["no"] * 500]))

    assert result.facts["bad_rows_count"] == 500
    assert result.facts["bad_rows_by_reason"] == {"not valid JSON": 500}
    assert 0 < len(result.facts["bad_rows"]) < 500


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"body": "a"}, {"body": "b"}], {}, r"seen: body\).*--text-field"),
        (
            [{"text": 1}, {"text": None}],
            {},
            r"None of the 2 rows.*data.jsonl:1: field 'text' holds int.*fields seen: text.*--text-field",
        ),
        (["{", "}"], {}, r"None of the 2 rows.*not valid JSON; fields seen: none"),
        ([{"text": "a"}], {"text_field": "body"}, r"field 'body' is missing; fields seen: text"),
        ([{"q": "a", "answer": "b"}], {"prompt_field": "q"}, r"seen: q, answer\).*--answer-field"),
        ([], {}, "holds no rows"),
    ],
)
def test_a_source_without_a_usable_row_says_what_was_seen(tmp_path, rows, options, message):
    with pytest.raises(UsageError, match=message):
        reading(write(tmp_path / "data.jsonl", rows), **options)


@pytest.mark.parametrize(
    ("row", "options", "prompt", "text"),
    [
        ({"text": "t", "other": "o"}, {}, None, "t"),
        ({"content": "t"}, {}, None, "t"),
        ({"question": "q", "answer": "a", "text": "qa"}, {}, "q\n", "a"),
        ({"prompt": "q", "completion": "a"}, {}, "q\n", "a"),
        ({"problem": "q", "solution": "a"}, {}, "q\n", "a"),
        ({"instruction": "q", "input": "c", "output": "a"}, {}, "q\nc\n", "a"),
        ({"instruction": "q", "input": "", "output": "a"}, {}, "q\n", "a"),
        ({"question": "q", "answer": "a", "body": "b"}, {"text_field": "body"}, None, "b"),
        ({"q": "q", "a": "a"}, {"prompt_field": "q", "answer_field": "a"}, "q\n", "a"),
        ({"prompt": "q", "completion": "c", "response": "a"}, {"answer_field": "response"}, "q\n", "a"),
    ],
)
def test_fields_are_taken_as_named_or_detected(tmp_path, row, options, prompt, text):
    result = reading(write(tmp_path / "data.jsonl", [row]), **options)

    assert [(document.prompt, document.text) for document in result.documents] == [(prompt, text)]
    assert result.facts["fields"]["detected"] is not ("text_field" in options or {"prompt_field", "answer_field"} <= set(options))


def test_json_csv_and_parquet_hold_the_same_documents(tmp_path):
    csv = tmp_path / "data.csv"
    csv.write_text("question,answer\n" + "".join(f'"{row["question"]}","{row["answer"]}"\n' for row in PAIRS))
    parquet = tmp_path / "data.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(PAIRS), parquet)
    files = [
        write(tmp_path / "data.jsonl", PAIRS),
        write(tmp_path / "list.json", [json.dumps(PAIRS)]),
        write(tmp_path / "inside.json", [json.dumps({"version": 1, "rows": PAIRS})]),
        write(tmp_path / "lines.json", PAIRS),
        csv,
        parquet,
    ]

    expected = [(row["question"] + "\n", row["answer"]) for row in PAIRS]
    for file in files:
        assert [(document.prompt, document.text) for document in reading(file).documents] == expected, file


def test_a_bad_row_of_csv_is_named_by_the_line_it_ends_on(tmp_path):
    file = tmp_path / "data.csv"
    file.write_bytes(b'text,n\n"two\nlines",1\nfine,2,3\n,4\nb\xffd,5\n' + b"long " * 60_000 + b",6\n")

    result = reading(file)

    assert [document.where for document in result.documents] == [f"{file}:3", f"{file}:7"]
    assert named(result.facts) == [
        (f"{file}:4", "more values than the header has names"),
        (f"{file}:5", "field 'text' is empty"),
        (f"{file}:6", "field 'text' is not valid Unicode"),
    ]


def test_plain_text_is_cut_at_line_ends_and_loses_nothing_but_empty_lines(tmp_path):
    paragraph = "A line of words that goes on for a while.\n" * 30 + "\n"
    file = tmp_path / "book.txt"
    file.write_text(paragraph * 20)

    documents = reading(file).documents

    lines = [line for document in documents for line in document.text.splitlines() if line]
    assert lines == [line for line in file.read_text().splitlines() if line]
    assert len(documents) > 3 and all(BLOCK / 2 < len(document.text) < 2.1 * BLOCK for document in documents[:-1])
    assert documents[1].where == f"{file}:{len(documents[0].text.splitlines()) + 2}"


@pytest.mark.parametrize(
    ("names", "trains", "validates", "aside"),
    [
        (["train.jsonl", "test.jsonl"], ["train.jsonl"], ["test.jsonl"], []),
        (
            ["train-0.jsonl", "train-1.jsonl", "valid.jsonl", "test.jsonl"],
            ["train-0.jsonl", "train-1.jsonl"],
            ["valid.jsonl"],
            ["test.jsonl"],
        ),
        (["a/train/x.jsonl", "a/validation/x.jsonl"], ["a/train/x.jsonl"], ["a/validation/x.jsonl"], []),
        (["testimony.jsonl", "valley.jsonl"], ["testimony.jsonl", "valley.jsonl"], [], []),
        (["test.jsonl"], ["test.jsonl"], [], []),
    ],
)
def test_a_folders_own_parts_are_kept_apart(tmp_path, names, trains, validates, aside):
    for name in names:
        write(tmp_path / name, [{"text": name}])
    write(tmp_path / "LICENSE", ["free"])
    write(tmp_path / ".hidden.jsonl", [{"text": "no"}])

    result = reading(tmp_path)

    assert [document.text for document in result.documents] == trains
    assert [document.text for document in result.held_out or []] == validates
    assert result.facts.get("set_aside", []) == [str(tmp_path / name) for name in aside]
    assert result.facts["ignored_files"] == [str(tmp_path / "LICENSE")]


def test_a_glob_takes_what_it_matches_in_order(tmp_path):
    folder = tmp_path / "test_set"  # the pattern's fixed part says nothing about the files in it
    for name in ("train.jsonl", "a.jsonl", "sub/c.jsonl", "sub/test.jsonl"):
        write(folder / name, [{"text": name}])

    flat, deep = reading(f"{folder}/*.jsonl"), reading(f"{folder}/**/*.jsonl")

    assert [document.text for document in flat.documents] == ["a.jsonl", "train.jsonl"] and flat.held_out is None
    assert [document.text for document in deep.documents] == ["a.jsonl", "sub/c.jsonl", "train.jsonl"]
    assert [document.text for document in deep.held_out or []] == ["sub/test.jsonl"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.jsonl", None, "There is no data at"),
        ("data.bin", b"x", r"data.bin has an ending that is not known: \.jsonl"),
        ("data.parquet", b"no parquet", "cannot be read as parquet"),
        ("data.json", b"7", "give a JSON list"),
        ("data.csv", b"", "holds no rows"),
        ("nothing*.jsonl", None, "matches no file"),
    ],
)
def test_what_cannot_be_read_is_one_clear_sentence(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(UsageError, match=message) as error:
        reading(tmp_path / name)
    assert "\n" not in str(error.value)


def test_the_limit_counts_rows_read(tmp_path):
    file = write(tmp_path / "data.jsonl", ["{bad", *PAIRS])

    result = reading(file, limit=10)

    assert (len(result.documents), result.facts["bad_rows_count"], result.facts["rows"]) == (9, 1, 10)


def test_a_file_of_questions_becomes_a_corpus_with_held_out_problems(tmp_path):
    corpus = load(DataOptions(source=str(write(tmp_path / "data.jsonl", PAIRS)), sequence=64, validation=0.2), None)

    assert len(corpus.problems) == corpus.facts["validation"]["documents"] > 2
    assert all(problem.prompt.endswith("?\n") and "####" in problem.answer for problem in corpus.problems)
    assert corpus.tokenizer is not None
    assert corpus.vocabulary == corpus.facts["tokenizer"]["vocabulary"] == corpus.tokenizer.get_vocab_size()
    assert corpus.facts["train"]["documents"] + corpus.facts["validation"]["documents"] == len(PAIRS)
    json.dumps(corpus.facts)


def test_pairs_that_are_too_long_are_left_out_and_named(tmp_path):
    file = write(tmp_path / "data.jsonl", [*PAIRS, {"question": "long? " * 200, "answer": "#### 1"}])

    sides = load(DataOptions(source=str(file), sequence=64, validation=0.2), None).facts

    left_out = sides["train"]["left_out"] + sides["validation"]["left_out"]
    assert left_out == [{"where": f"{file}:61", "reason": "prompt and answer do not fit into 64 tokens"}]
    with pytest.raises(UsageError, match=r"leaves nothing to train on.*longer --sequence"):
        load(DataOptions(source=str(file), sequence=4, validation=0.2), None)


def test_synthetic_rows_use_the_whole_vocabulary_and_score_every_token():
    corpus = load(DataOptions(source="synthetic", sequence=32, limit=100, seed=3), 50)
    again = load(DataOptions(source="synthetic", sequence=32, limit=100, seed=3), 50)
    other = load(DataOptions(source="synthetic", sequence=32, limit=100, seed=4), 50)

    batch = corpus.train.batch(range(len(corpus.train)))
    assert (len(corpus.train), len(corpus.validation), corpus.tokenizer, corpus.vocabulary) == (95, 5, None, 50)
    assert set(batch.tokens.flatten().tolist()) == set(range(50))
    assert batch.scored == batch.targets.numel() and batch.documents is None
    assert batch.targets[:, :-1].equal(batch.tokens[:, 1:])
    assert batch.positions.equal(batch.positions[:1].expand(95, -1)) and batch.positions[0].tolist() == list(range(32))
    assert corpus.train.planes.equal(again.train.planes) and not corpus.train.planes.equal(other.train.planes)
    with pytest.raises(UsageError, match="vocabulary"):
        load(DataOptions(source="synthetic"), None)


@pytest.mark.parametrize(
    "options", [{"sequence": 1}, {"validation": 0.0}, {"validation": 1.0}, {"limit": 1}, {"text_field": "a", "prompt_field": "b"}]
)
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(UsageError):
        DataOptions(source="synthetic", **options)

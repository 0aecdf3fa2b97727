"""What is held out is never trained on."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognate.errors import UsageError
from cognate.train.data.corpus import DataOptions, load
from cognate.train.data.document import Document, normalise
from cognate.train.data.split import draw, split

keys = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=3).map(tuple)


def documents(texts) -> list[Document]:
    return [Document(text, f"row {number}", keys=(normalise(text),)) for number, text in enumerate(texts)]


@given(st.lists(st.text(min_size=1), min_size=2), st.floats(0.01, 0.99))
def test_the_sides_are_disjoint_and_nothing_is_lost(texts, share):
    docs = documents(texts)
    distinct = {normalise(text) for text in texts}
    if len(distinct) < 2:
        with pytest.raises(UsageError):
            split(docs, None, share, "here")
        return

    sides = split(docs, None, share, "here")

    assert sides.train and sides.validation
    assert sorted(document.where for document in sides.train + sides.validation) == sorted(document.where for document in docs)
    assert {document.keys for document in sides.train}.isdisjoint(document.keys for document in sides.validation)


@given(st.lists(keys, min_size=2), st.floats(0.01, 0.99))
def test_training_holds_no_key_that_was_the_reason_to_hold_a_document_out(all_keys, share):
    docs = [Document("x", f"row {number}", keys=key) for number, key in enumerate(all_keys)]
    try:
        sides = split(docs, None, share, "here")
    except UsageError:
        assert len({min(map(draw, key)) for key in all_keys}) == 1
        return

    trained = {key for document in sides.train for key in document.keys}
    assert all(not trained.issuperset(document.keys) for document in sides.validation)


@given(st.lists(st.text(min_size=1), min_size=1), st.lists(st.text(min_size=1), min_size=1))
def test_overlap_with_a_given_validation_part_is_removed_from_training_and_counted(train, validation):
    held = {normalise(text) for text in validation}
    expected = [text for text in train if normalise(text) not in held]
    if not expected:
        with pytest.raises(UsageError, match="nothing to train on"):
            split(documents(train), documents(validation), 0.1, "here")
        return

    sides = split(documents(train), documents(validation), 0.1, "here")

    assert [document.text for document in sides.train] == expected
    assert [document.text for document in sides.validation] == validation
    assert sides.facts["overlap_removed"] == len(sides.facts["overlap"]) == len(train) - len(expected)


def test_the_side_depends_on_the_content_alone():
    texts = [f"text {number}" for number in range(400)]
    forward = split(documents(texts), None, 0.2, "here")
    backward = split(documents(reversed(texts[:300])), None, 0.2, "here")

    held = {document.text for document in forward.validation}
    assert {document.text for document in backward.validation} == held & set(texts[:300])
    assert 0.1 < forward.facts["share"] < 0.3


def test_normalised_texts_are_one():
    assert normalise("  Two\u00a0 Words\n") == normalise("two words") != normalise("two word")


@pytest.mark.parametrize(("share", "held"), [(1e-9, 1), (1 - 1e-9, 2)])
def test_of_few_documents_each_side_gets_one_and_says_so(share, held):
    sides = split(documents(["a", "b", "c"]), None, share, "here")

    assert len(sides.validation) == held
    assert "hash, for the share held" in sides.facts["method"]


def test_overlap_between_files_is_named_in_the_facts(tmp_path):
    rows = [{"question": f"What is {number}?", "answer": f"#### {number}"} for number in range(20)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    # Another answer and another spelling: the question is still the same.
    (tmp_path / "test.jsonl").write_text(
        '{"question": "WHAT is  7?", "answer": "#### 8"}\n{"question": "New?", "answer": "#### 1"}'
    )

    facts = load(DataOptions(source=str(tmp_path), sequence=32), None).facts

    assert (facts["train"]["documents"], facts["validation"]["documents"]) == (19, 2)
    assert facts["split_by"]["overlap"] == [f"{tmp_path / 'train.jsonl'}:8"]
    assert facts["split_by"]["method"] == "the source's own validation part"


def test_a_single_document_is_too_little(tmp_path):
    (tmp_path / "one.txt").write_text("Only this.")

    with pytest.raises(UsageError, match=r"one.txt leaves nothing to .*more distinct documents"):
        load(DataOptions(source=str(tmp_path / "one.txt")), None)

"""Rows hold every token once, in order, and no target reaches from one document into the next."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cognate.train.batch import IGNORED
from cognate.train.data.corpus import DataOptions, load
from cognate.train.data.document import Document
from cognate.train.data.encode import encode
from cognate.train.data.packing import Rows, efficiency, rows
from cognate.train.data.tokenizer import end_of, learn, pad_of

TOKENIZER = learn([], 258)  # bytes alone: as many tokens as the UTF-8 text has bytes
END, PAD = end_of(TOKENIZER), pad_of(TOKENIZER)
letters = st.text("abc é", min_size=1, max_size=40)
texts = st.lists(st.tuples(st.none() | letters, letters), min_size=1, max_size=25)


def documents(pairs) -> list[Document]:
    return [Document(text, f"row {number}", prompt) for number, (prompt, text) in enumerate(pairs)]


def ids(text: str | None) -> list[int]:
    return TOKENIZER.encode(text or "", add_special_tokens=False).ids


def stretches(packed: Rows) -> list[tuple[list[int], list[int], list[int]]]:
    """(tokens, targets, positions) of each piece in the rows, padding left out."""
    batch = packed.batch(range(len(packed)))
    numbers = torch.zeros_like(batch.tokens) if batch.documents is None else batch.documents
    found = []
    for row in range(len(packed)):
        for number in numbers[row].unique().tolist():
            here = (numbers[row] == number) & (batch.tokens[row] != PAD)
            if here.any():
                found.append(tuple(plane[row][here].tolist() for plane in (batch.tokens, batch.targets, batch.positions)))
    return found


def expected_pieces(pairs, sequence: int) -> list[tuple[list[int], list[int], list[int]]]:
    """The slow and obvious way."""
    pieces = []
    for prompt, text in pairs:
        question, answer = ids(prompt), ids(text)
        tokens = question + answer
        if prompt is not None and len(tokens) > sequence:
            continue
        targets = [IGNORED] * (len(question) - 1) + answer + [END] if question else [*tokens[1:], END]
        for start in range(0, len(tokens), sequence):
            cut = tokens[start : start + sequence]
            pieces.append((cut, targets[start : start + sequence], list(range(len(cut)))))
    return pieces


@given(texts, st.integers(2, 50), st.booleans())
def test_rows_hold_each_piece_whole_with_the_targets_of_its_own_document(pairs, sequence, pack):
    encoded = encode(documents(pairs), TOKENIZER, sequence)
    expected = expected_pieces(pairs, sequence)

    assert len(encoded.kept) + encoded.left_out.count == len(pairs)
    if expected:
        packed = rows(encoded, sequence, PAD, pack)
        assert sorted(stretches(packed)) == sorted(expected)
        assert pack or len(packed) == len(expected)


@given(texts, st.integers(2, 50), st.booleans())
def test_padding_is_neither_scored_nor_part_of_a_document(pairs, sequence, pack):
    encoded = encode(documents(pairs), TOKENIZER, sequence)
    if not encoded.kept:
        return
    packed = rows(encoded, sequence, PAD, pack)
    batch = packed.batch(range(len(packed)))

    padding = batch.tokens == PAD
    assert (batch.targets[padding] == IGNORED).all()
    assert int((~padding).sum()) == len(encoded.tokens)
    assert ((batch.positions >= 0) & (batch.positions < sequence)).all()
    if batch.documents is not None:
        for row, hidden in zip(batch.documents, padding, strict=True):
            assert not set(row[hidden].tolist()) & set(row[~hidden].tolist())
            assert (row[1:] >= row[:-1]).all()
        starts = batch.documents[:, 1:] != batch.documents[:, :-1]
        assert (batch.positions[:, 1:] == torch.where(starts, 0, batch.positions[:, :-1] + 1)).all()


@given(texts, st.data())
def test_a_batch_counts_its_scored_targets(pairs, data):
    packed = rows(encode(documents([*pairs, (None, "a")]), TOKENIZER, 40), 40, PAD, True)
    indices = data.draw(st.lists(st.integers(0, len(packed) - 1), min_size=1, max_size=8))

    batch = packed.batch(indices)

    assert batch.scored == int((batch.targets != IGNORED).sum())
    assert batch.tokens.shape == batch.targets.shape == batch.positions.shape == (len(indices), 40)
    assert {plane.dtype for plane in (batch.tokens, batch.targets, batch.positions, batch.documents)} == {torch.int64}
    assert all(batch.tokens[place].equal(packed.batch([index]).tokens[0]) for place, index in enumerate(indices))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60))
def test_packing_needs_few_rows(lengths):
    encoded = encode([Document("a" * length, "here") for length in lengths], TOKENIZER, 30)
    packed = rows(encoded, 30, PAD, True)

    least = -(-sum(lengths) // 30)
    # No two rows could be merged, so that all but one are more than half full on average.
    assert least <= len(packed) <= max(1, 2 * least)
    assert efficiency(encoded, packed) == pytest.approx(sum(lengths) / (30 * len(packed)))


def test_packing_of_short_documents_wastes_almost_nothing():
    pairs = [(None, "a" * (3 + number * 7 % 40)) for number in range(500)]
    encoded = encode(documents(pairs), TOKENIZER, 128)

    assert efficiency(encoded, rows(encoded, 128, PAD, True)) > 0.98


def test_only_the_answer_is_scored_and_the_last_token_predicts_the_end():
    encoded = encode([Document("cd", "here", "ab")], TOKENIZER, 6)
    batch = rows(encoded, 6, PAD, True).batch([0])

    c, d = ids("cd")
    assert batch.targets.tolist() == [[IGNORED, c, d, END, IGNORED, IGNORED]]
    assert batch.positions.tolist() == [[0, 1, 2, 3, 0, 1]]
    assert batch.documents is not None and batch.documents.tolist() == [[0, 0, 0, 0, 1, 1]]


def test_without_packing_each_row_is_one_document():
    corpus = load(DataOptions(source="arithmetic", limit=200, sequence=128, pack=False), 300)
    packed = load(DataOptions(source="arithmetic", limit=200, sequence=128, pack=True), 300)

    batch = corpus.train.batch([0, 1])
    assert batch.documents is None
    assert len(corpus.train) == corpus.facts["train"]["documents"] > len(packed.train)
    assert corpus.facts["train"]["scored_tokens"] == packed.facts["train"]["scored_tokens"] == sum(packed.train.scored)


def test_the_same_data_gives_the_same_rows():
    first, second = (load(DataOptions(source="arithmetic:mixed", limit=500), 400) for _ in range(2))

    assert first.train.planes.equal(second.train.planes)
    assert first.problems == second.problems and first.facts == second.facts


def test_facts_count_what_the_rows_hold(tmp_path):
    file = tmp_path / "data.txt"
    file.write_text("".join(f"Line {number} of a text.\n" for number in range(1_000)))

    corpus = load(DataOptions(source=str(file), sequence=50, validation=0.3), 300)

    for rows_, facts in ((corpus.train, corpus.facts["train"]), (corpus.validation, corpus.facts["validation"])):
        assert facts["tokens"] == facts["scored_tokens"] == sum(rows_.scored)  # of plain text every token is scored
        assert facts["packing_efficiency"] == pytest.approx(facts["tokens"] / (50 * len(rows_)))
        assert facts["longest_document"] > 50 and facts["pieces"] > facts["documents"]

"""A tokenizer fits the model, knows where documents end, and learns from the training side alone."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognate.errors import UsageError
from cognate.train.data.corpus import DataOptions, load
from cognate.train.data.document import Document
from cognate.train.data.tokenizer import END, PAD, end_of, learn, obtain, pad_of, size_of

WORDS = [Document("the quick brown fox jumps over 1234 lazy dogs", "here")] * 4


@pytest.fixture
def foreign(tmp_path):
    """A tokenizer.json without special tokens, with padding and truncation switched on."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"the": 0, "fox": 1, "odd": 7}, unk_token="odd"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=9)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


@given(st.text())
def test_bytes_bring_any_text_back(text):
    tokenizer, _ = obtain(None, WORDS, 300)

    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text


def test_each_digit_is_a_token_of_its_own():
    tokenizer = learn([Document("1234 1234 1234", "here")] * 50, 1_000)

    assert [token for token in tokenizer.encode("12+34=1234").tokens if token.isdigit()] == list("12341234")


def test_the_vocabulary_is_as_large_as_allowed_or_as_the_text_gives():
    many = [Document(" ".join(f"w{a}x{b}" for a in "abcdefgh" for b in "abcdefgh"), "here")] * 3

    assert size_of(learn(many, 270)) == 270
    assert 258 <= size_of(learn([Document("ab ab", "here")], 4_096)) < 262


def test_what_is_held_out_teaches_the_tokenizer_nothing(tmp_path):
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps({"text": f"plain words {number}"}) for number in range(9)))
    (tmp_path / "valid.jsonl").write_text("\n".join(json.dumps({"text": f"zzyzx zzyzx {number}"}) for number in range(9)))

    tokenizer = load(DataOptions(source=str(tmp_path)), 1_000).tokenizer

    assert tokenizer is not None
    assert not any("zy" in token for token in tokenizer.get_vocab())
    assert any("words" in token for token in tokenizer.get_vocab())


def test_a_text_that_spells_a_special_token_does_not_end_the_document():
    tokenizer, _ = obtain(None, WORDS, 300)

    assert end_of(tokenizer) not in tokenizer.encode(f"a{END}b{PAD}", add_special_tokens=False).ids
    assert end_of(tokenizer) != pad_of(tokenizer)


def test_a_tokenizer_file_is_used_whole_and_gets_an_end_where_it_has_none(foreign):
    tokenizer, facts = obtain(str(foreign), WORDS, 100)

    assert tokenizer.encode("the fox the fox").ids == [0, 1, 0, 1]
    assert facts["added"] == [END] and facts["end"] == END
    assert pad_of(tokenizer) == end_of(tokenizer) == 3
    assert facts["vocabulary"] == size_of(tokenizer) == 8  # some ids are a gap: an embedding still needs their rows
    assert obtain(str(foreign.parent), WORDS, 8)[1]["vocabulary"] == 8


def test_an_end_that_would_share_its_id_with_a_word_is_refused(foreign):
    foreign.write_text(foreign.read_text().replace('"odd": 7', '"odd": 3'))

    with pytest.raises(UsageError, match=r"gaps.*add the token"):
        obtain(str(foreign), WORDS, None)


def test_a_tokenizer_larger_than_the_model_is_refused_with_both_numbers(foreign):
    with pytest.raises(UsageError, match=r"has 8 tokens.*only 7.*at least 8"):
        obtain(str(foreign), WORDS, 7)


def test_a_vocabulary_below_the_bytes_is_refused():
    with pytest.raises(UsageError, match=r"100 cannot hold.*at least 258"):
        learn(WORDS, 100)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot be read"), ("{}", "no tokenizer that"), ("\x80", "no tokenizer that")]
)
def test_a_file_that_is_no_tokenizer_is_one_clear_sentence(tmp_path, content, message):
    file = tmp_path / "tokenizer.json"
    if content is not None:
        file.write_text(content, encoding="latin-1")

    with pytest.raises(UsageError, match=message) as error:
        load(DataOptions(source="arithmetic", limit=50, tokenizer=str(file)), None)
    assert "\n" not in str(error.value)


def test_a_learnt_tokenizer_survives_its_file(tmp_path):
    corpus = load(DataOptions(source="arithmetic", limit=200), 300)
    assert corpus.tokenizer is not None
    corpus.tokenizer.save(str(tmp_path / "tokenizer.json"))

    again = load(DataOptions(source="arithmetic", limit=200, tokenizer=str(tmp_path / "tokenizer.json")), 300)

    assert again.train.planes.equal(corpus.train.planes)
    assert (again.vocabulary, again.end, again.pad) == (corpus.vocabulary, corpus.end, corpus.pad)

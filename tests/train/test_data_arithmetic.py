"""Generated problems are right, learnable and honestly held out; answers are read as GSM8K writes them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cognate.errors import UsageError
from cognate.train.data.answers import difficulty, problems
from cognate.train.data.arithmetic import problem, read
from cognate.train.data.corpus import DataOptions, final_answer, load, same_answer
from cognate.train.data.document import Document
from cognate.train.data.split import split

EQUATION = re.compile(r"(\d+)([-+*])(\d+)=(\d+)")
OPERATORS = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}
indices = st.integers(0, 10**6)
steps = st.integers(1, 3)


def equations(answer: str) -> list[tuple[int, str, int, int]]:
    return [(int(a), sign, int(b), int(c)) for a, sign, b, c in EQUATION.findall(answer)]


@given(indices, indices, steps)
@settings(max_examples=300, deadline=None)
def test_answers_are_right_when_worked_out_again(seed, index, count):
    document = problem(seed, index, count, count)

    worked = equations(document.text)
    assert document.steps == count == len(worked) == difficulty(document.text) == len(document.keys)
    assert all(OPERATORS[sign](a, b) == c for a, sign, b, c in worked)
    assert all(2 <= number <= 99 for a, _, b, c in worked for number in (a, b, c))
    assert all(worked[i + 1][0] == worked[i][3] for i in range(count - 1))
    assert final_answer(document.text) == str(worked[-1][3])


@given(indices, steps)
@settings(max_examples=200, deadline=None)
def test_the_story_holds_the_numbers_of_its_equations_in_order(index, count):
    document = problem(0, index, count, count)

    worked = equations(document.text)
    told = [worked[0][0], *(b for _, sign, b, _ in worked if sign != "*")]
    assert document.prompt is not None and document.prompt.endswith("?\n") and "{" not in document.prompt
    assert [int(number) for number in re.findall(r"\d+", document.prompt)] == told


@given(indices, indices)
@settings(max_examples=50, deadline=None)
def test_a_problem_depends_on_its_seed_and_index_alone(seed, index):
    assert problem(seed, index, 1, 3) == problem(seed, index, 1, 3)


def test_problems_are_many_and_of_every_kind():
    documents = read(DataOptions(source="arithmetic:mixed", limit=2_000)).documents

    assert len({document.prompt for document in documents}) > 1_900
    assert {document.steps for document in documents} == {1, 2, 3}
    assert {sign for document in documents for _, sign, _, _ in equations(document.text)} == {"+", "-", "*"}
    one_step = read(DataOptions(source="arithmetic", limit=500)).documents
    assert {document.steps for document in one_step} == {1}
    assert {document.steps for document in read(DataOptions(source="arithmetic:2", limit=50)).documents} == {2}
    assert one_step != read(DataOptions(source="arithmetic", limit=500, seed=1)).documents


@pytest.mark.parametrize("source", ["arithmetic", "arithmetic:mixed"])
def test_each_held_out_problem_takes_an_operation_that_training_never_does(source):
    sides = split(read(DataOptions(source=source, limit=5_000)).documents, None, 0.1, source)

    def operations(document):  # read off the answer, not off the keys that decided the side
        return {(min(a, b), "+", max(a, b)) if sign == "+" else (a, sign, b) for a, sign, b, _ in equations(document.text)}

    trained = set().union(*map(operations, sides.train))
    assert len(sides.validation) > 200
    assert all(operations(document) - trained for document in sides.validation)
    assert not {document.prompt for document in sides.train} & {document.prompt for document in sides.validation}


def test_the_corpus_carries_its_held_out_problems():
    corpus = load(DataOptions(source="arithmetic:mixed", limit=1_000, sequence=128), 400)

    validation = corpus.validation.batch(range(len(corpus.validation)))
    assert corpus.tokenizer is not None
    text = corpus.tokenizer.decode(validation.tokens.flatten().tolist())
    assert corpus.problems and corpus.facts["problems"] == len(corpus.problems)
    assert all(problem.prompt + problem.answer in text for problem in corpus.problems)
    assert {problem.difficulty for problem in corpus.problems} == {1, 2, 3}


def test_an_unknown_kind_is_refused():
    with pytest.raises(UsageError, match="arithmetic:mixed"):
        load(DataOptions(source="arithmetic:9"), None)


@given(st.integers(-(10**9), 10**9), st.text(st.characters(exclude_characters="#")), st.text())
def test_a_final_answer_is_read_as_it_was_written(number, before, after):
    written = f"{before}\n####  {number:,} \n{after}"

    assert final_answer(written) == str(number)
    assert same_answer(final_answer(written), f"{number}.0")
    assert not same_answer(final_answer(written), str(number + 1))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("no mark 19", None),
        ("#### ", None),
        ("####\n19", None),
        ("#### 19 apples", "19apples"),
        ("#### 1\n#### 2", "1"),
        ("#### -0.5", "-0.5"),
    ],
)
def test_final_answers_at_the_edge(text, answer):
    assert final_answer(text) == answer


def test_no_answer_agrees_with_none():
    assert not same_answer(None, None)
    assert not same_answer("19", None)
    assert same_answer("blue", "blue") and not same_answer("blue", "red")


def test_difficulty_counts_annotations_or_else_lines():
    assert difficulty("He has 1+1=<<1+1=2>>2 and 2+2=<<2+2=4>>4.\nDone.\n#### 4") == 2
    assert difficulty("first\n\nsecond\nthird\n#### 4") == 3
    assert difficulty("#### 4") == 1


def test_only_checkable_answers_are_problems_and_each_prompt_once():
    documents = [
        Document("#### 1", "a", "q\n"),
        Document("#### 2", "b", "q\n"),
        Document("none", "c", "r\n"),
        Document("#### 3", "d"),
    ]

    assert [(found.prompt, found.answer) for found in problems(documents)] == [("q\n", "#### 1")]

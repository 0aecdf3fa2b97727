"""Generated word problems in the manner of GSM8K: a short story, one equation a step, and a final answer that can be checked.

`arithmetic` asks for one step, `arithmetic:mixed` for one to three, `arithmetic:N` for exactly N. Numbers stay between 2 and 99:
what has to be learnt is to carry and to borrow, which a small model can, and which holds for pairs of numbers that it never saw.
Multiplication is doubling only: a table of products is memory, and pairs that are held out could not be known.
"""

from __future__ import annotations

from random import Random

from cognate.errors import UsageError
from cognate.train.data.document import DataOptions, Document, Reading
from cognate.train.data.fields import SEPARATOR
from cognate.train.data.stories import COMPARISONS, ITEMS, NAMES, SCENES, Scene

PROBLEMS = 50_000  # some 6,400 operations, each in several stories; more would only take longer to tokenise
LOWEST, HIGHEST = 2, 99
STEPS = {"arithmetic": (1, 1), "arithmetic:mixed": (1, 3), "arithmetic:1": (1, 1), "arithmetic:2": (2, 2), "arithmetic:3": (3, 3)}
COMPARED = 0.4  # share of the one-step problems that compare two people instead of telling what happens


def read(options: DataOptions) -> Reading:
    """`limit` problems of the source that the options name. Raises UsageError for an unknown kind."""
    if options.source not in STEPS:
        raise UsageError(f"There is no data source {options.source!r}: choose {', '.join(STEPS)}.")
    fewest, most = STEPS[options.source]
    count = options.limit or PROBLEMS
    documents = [problem(options.seed, index, fewest, most) for index in range(count)]
    return Reading(documents, facts={"rows": count, "bad_rows_count": 0, "bad_rows_by_reason": {}, "bad_rows": []})


def problem(seed: int, index: int, fewest: int = 1, most: int = 1) -> Document:
    """Problem number `index` of the series `seed`, with `fewest` to `most` steps; it depends on nothing else.

    Its keys are the operations it takes: held out, at least one of them occurs nowhere in training.
    """
    random = Random(f"{seed}:{index}")
    steps = random.randint(fewest, most)
    if steps == 1 and random.random() < COMPARED:
        start, operations, story = _comparison(random)
    else:
        start, operations, story = _events(random, steps)
    value, lines, keys = start, [], []
    for sign, operand in operations:
        result = apply(value, sign, operand)
        lines.append(f"{value}{sign}{operand}={result}")
        keys.append(key(value, sign, operand))
        value = result
    answer = "\n".join([*lines, f"#### {value}"])
    return Document(answer, f"arithmetic: problem {index}", story + SEPARATOR, steps, tuple(keys))


def apply(value: int, sign: str, operand: int) -> int:
    """The result of one step."""
    if sign == "+":
        return value + operand
    return value - operand if sign == "-" else value * operand


def key(value: int, sign: str, operand: int) -> str:
    """The operation as what is held out: 7+12 and 12+7 are one."""
    if sign == "+":
        value, operand = sorted((value, operand))
    return f"{value}{sign}{operand}"


def _operation(random: Random, value: int, signs: str) -> tuple[str, int] | None:
    """A step from `value` that stays between the lowest and the highest number, by one of `signs`."""
    sign = random.choice(signs)
    if sign == "*":
        return (sign, 2) if value * 2 <= HIGHEST else None
    most = HIGHEST - value if sign == "+" else value - LOWEST
    if most < LOWEST:
        return None
    # As many operands of one digit as of two: the easy half teaches what a carry is.
    return sign, random.randint(LOWEST, min(most, 9) if random.random() < 0.5 else most)


def _operations(random: Random, steps: int, signs: str) -> tuple[int, list[tuple[str, int]]]:
    value = start = random.randint(LOWEST, HIGHEST)
    operations: list[tuple[str, int]] = []
    while len(operations) < steps:
        operation = _operation(random, value, signs)
        if operation is None:  # this sign leads out of the range: draw another; subtraction or addition always stays inside
            continue
        operations.append(operation)
        value = apply(value, *operation)
    return start, operations


def _events(random: Random, steps: int) -> tuple[int, list[tuple[str, int]], str]:
    scene: Scene = random.choice(SCENES)
    start, operations = _operations(random, steps, "+-" if steps == 1 else "+-+-*")
    name, other = random.sample(NAMES, 2)
    words = {"name": name, "other": other, "items": random.choice(ITEMS)}
    sentences = [random.choice(scene.opening).format(number=start, **words)]
    for sign, operand in operations:
        sentences.append(random.choice(scene.events[sign]).format(number=operand, **words))
    sentences.append(random.choice(scene.question).format(**words))
    return start, operations, " ".join(sentences)


def _comparison(random: Random) -> tuple[int, list[tuple[str, int]], str]:
    start, operations = _operations(random, 1, "+-")
    sign, operand = operations[0]
    name, other = random.sample(NAMES, 2)
    template = random.choice(COMPARISONS[sign])
    return start, operations, template.format(first=start, second=operand, name=name, other=other, items=random.choice(ITEMS))

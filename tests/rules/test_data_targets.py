"""Rows of tokens and what a loss scores of them: the faults' near relations that are healthy, and the faults' other faces."""

from __future__ import annotations

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}
BOS, EOS, PAD, SEP = 0, 1, 2, 3
COUNT = 24


def row(prompt, answer, width, pad=PAD, ignore=(), late=0):
    """The audit's columns for one row: `late` scored tokens fewer at the front, tokens in `ignore` not scored at the end."""
    tokens = (prompt + answer)[:width]
    length = len(tokens)
    while ignore and len(tokens) > len(prompt) and tokens[-1] in ignore:
        tokens = tokens[:-1]
    first, last = len(prompt) + late, len(tokens) - 1
    some = last >= first
    padded = (prompt + answer)[:width] + [pad] * (width - length)
    return {
        "scored": last - first + 1 if some else 0,
        "first": first if some else -1,
        "last": last if some else -1,
        "opens": padded[first] if some else -1,
        "closes": padded[last] if some else -1,
        "after": padded[last + 1] if some and last + 1 < width else -1,
        "before": padded[max(0, first - 3) : first] if some else [-1] * 3,
        "head": padded[:3],
        "begin": 0,
        "end": length - 1,
        "ends": padded[length - 1],
    }


def calls(rows, width, pad=PAD, shifted=True, count=3, classes=40, **more):
    columns = {key: [r[key] for r in rows] for key in rows[0]}
    audit = {"width": width, "length": width, "rows": len(rows), **columns}
    audit |= {"offset": 1, "share": 1.0} if shifted else {}
    audit |= {"pad": pad, "pad_scored": 0} if pad is not None else {}
    base = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "classes": classes, "site": {"file": "t.py", "line": 9}}
    return [base | more | {"step": s, "target": {"audit": audit, "ignored": 0.5, "shape": [64]}} for s in range(count)]


def generation(*prompts):
    forward = {"kind": "forward", "grad": False, "object": "model#0 M"}
    found = []
    for step, prompt in enumerate(prompts):
        for tokens in (prompt, [*prompt, 9]):
            given = {"shape": [1, len(tokens)], "dtype": "int64", "heads": [tokens[:2]], "tails": [tokens[-2:]]}
            found.append(forward | {"step": 50 + step, "inputs": [given]})
    return found


def model(**tokens):
    return {"roots": [{"label": "model#0", "tokens": {"vocab_size": 40, **tokens}}]}


def judged(name, events, **parts):
    outcome = run_rule(RULES[name], Case.of(events=events, **parts))
    return outcome.findings[0] if outcome.status == "fired" else outcome.status


def prompts(number):
    return [BOS, *[5 + (number + k) % 7 for k in range(2 + number % 3)], SEP]


def answers(number, end=(EOS,)):
    return [*[10 + (2 * number + k) % 9 for k in range(2 + number % 4)], *end]


def pairs(end=(EOS,)):
    return [(prompts(n), answers(n, end)) for n in range(COUNT)]


ASKED = [[BOS, 5, 6, SEP], [BOS, 8, 7, 9, SEP]]
SEVEN = (
    "data-pad-is-eos-masked",
    "data-truncation-drops-target",
    "data-prompt-mask-misaligned",
    "data-double-bos",
    "data-all-labels-masked",
)


@pytest.mark.parametrize("name", SEVEN)
@pytest.mark.parametrize("tokens", [{}, {"eos_token_id": EOS, "bos_token_id": BOS, "pad_token_id": PAD}])
def test_a_healthy_fine_tune_is_quiet(name, tokens):
    rows = [row(p, a, 12) for p, a in pairs()]

    assert judged(name, calls(rows, 12) + generation(*ASKED), model=model(**tokens)) == "clear"


@pytest.mark.parametrize("name", SEVEN)
def test_a_language_model_on_whole_rows_is_quiet(name):
    """Every token counts, rows are chunks of a text without ends, and the configuration names an end token of its own."""
    rows = [row([5 + n % 9], [4 + (n * k) % 30 for k in range(2, 13)], 12) for n in range(COUNT)]
    events = calls(rows, 12, pad=None) + generation([5, 6], [7, 8])

    assert judged(name, events, model=model(eos_token_id=EOS), source={"t.py": "x = text[:12]"}) in ("clear", "skipped")


@pytest.mark.parametrize("name", SEVEN)
def test_masked_language_modelling_is_quiet(name):
    """Scored places are scattered, [SEP] never is, and the last one before it rarely."""
    columns = {"scored": [3] * COUNT, "first": [2 + n % 3 for n in range(COUNT)], "last": [7 + n % 4 for n in range(COUNT)]}
    columns |= {"opens": [5 + n % 9 for n in range(COUNT)], "closes": [6 + n % 9 for n in range(COUNT)]}
    rows = [{key: values[n] for key, values in columns.items()} for n in range(COUNT)]

    assert judged(name, calls(rows, 12, pad=None, shifted=False), model=model(eos_token_id=EOS)) in ("clear", "skipped")


def test_an_end_token_that_is_the_padding_and_masked():
    rows = [row(p, a, 12, pad=EOS, ignore=(EOS,)) for p, a in pairs()]
    events = calls(rows, 12, pad=EOS)

    found = judged("data-pad-is-eos-masked", events, model=model(eos_token_id=EOS))
    assert "end token 1" in found.title
    assert found.severity is None
    named = judged(
        "data-pad-is-eos-masked", events, source={"d.py": "tok.pad_token = tok.eos_token\nlabels[labels == pad] = -100\n"}
    )
    assert (named.location.file, named.location.line) == ("d.py", 1)


@pytest.mark.parametrize(("prompted", "expected"), [(True, "warning"), (False, "clear")])
def test_texts_in_rows_of_one_length_may_have_no_end(prompted, expected):
    rows = [row(p if prompted else [], a if prompted else p + a, 20, pad=EOS) for p, a in pairs(end=())]
    found = judged("data-pad-is-eos-masked", calls(rows, 20, pad=EOS), model=model(eos_token_id=EOS))

    assert (found if isinstance(found, str) else found.severity.value) == expected


def test_texts_without_an_end_that_are_padded_to_the_longest_are_no_fault():
    rows = [row([5], answers(n, ()), 6, pad=EOS) for n in range(COUNT)]

    assert judged("data-pad-is-eos-masked", calls(rows, 6, pad=EOS, in_forward=True), model=model(eos_token_id=EOS)) == "clear"


def test_a_padding_that_nothing_calls_the_end_is_no_end():
    rows = [row(p, a, 12) for p, a in pairs(end=())]

    assert judged("data-pad-is-eos-masked", calls(rows, 12)) == "clear"


def test_a_template_that_closes_with_its_own_token_may_mask_the_other():
    rows = [row(p, [*a, 30, EOS], 12, pad=EOS, ignore=(EOS,)) for p, a in pairs(end=())]

    assert judged("data-pad-is-eos-masked", calls(rows, 12, pad=EOS), model=model(eos_token_id=EOS)) == "clear"


@pytest.mark.parametrize(("masked", "expected"), [(True, "fired"), (False, "clear")])
def test_the_labels_of_an_encoder_decoder(masked, expected):
    events = []
    for longest in (5, 3, 4, 5, 4, 3):
        lengths = [1 + number % longest + (not masked) for number in range(COUNT)]
        closes = [EOS if not masked else 9 + number % 7 for number in range(COUNT)]
        rows = [{"scored": n, "first": 0, "last": n - 1, "opens": 7, "closes": c} for n, c in zip(lengths, closes, strict=True)]
        events += calls(rows, longest + 1, pad=None, shifted=False, count=1)

    found = judged("data-pad-is-eos-masked", events, model=model(eos_token_id=EOS))
    assert (found if isinstance(found, str) else "fired") == expected


def test_answers_that_are_cut_at_full_length():
    rows = [row(p, a, 9) for p, a in pairs()]
    found = judged("data-truncation-drops-target", calls(rows, 9), source={"t.py": "LIMIT = 9\n\nids = ids[:LIMIT]\n"})

    assert "end token 1" in found.title
    assert found.location.line == 1


def test_rows_that_were_all_cut_need_a_script_that_cuts():
    rows = [row([BOS, 5 + n % 7, 6, SEP], [10 + n % 9, 11, 12 + n % 5, EOS], 7) for n in range(COUNT)]
    events = calls(rows, 7, pad=None)

    assert judged("data-truncation-drops-target", events, model=model(eos_token_id=EOS)) == "clear"
    source = {"t.py": "enc = tok(text, truncation=True, max_length=7)\n"}
    assert judged("data-truncation-drops-target", events, model=model(eos_token_id=EOS), source=source).location.line == 1


def test_prompts_that_fill_the_row():
    rows = [row(p if n % 4 else [BOS, *range(5, 18), SEP], a, 12) for n, (p, a) in enumerate(pairs())]

    assert "their prompts fill it" in judged("data-truncation-drops-target", calls(rows, 12)).title


@pytest.mark.parametrize(("asked", "severity"), [(ASKED, None), ([], "warning")])
def test_a_prompt_mask_that_is_one_too_long(asked, severity):
    rows = [row(p, a, 14, late=1) for p, a in [(p, [10, *a] if n % 2 else a) for n, (p, a) in enumerate(pairs())]]
    found = judged("data-prompt-mask-misaligned", calls(rows, 14) + generation(*asked))

    assert "1 token behind token 3" in found.title
    assert (found.severity.value if found.severity else None) == severity


def test_an_operand_before_a_single_answer_is_no_misaligned_mask():
    rows = [row([BOS, 5 + n % 9, 4, 5 + n % 7], [5 + (n * n) % 9], 5) for n in range(COUNT)]

    assert judged("data-prompt-mask-misaligned", calls(rows, 5, pad=None)) == "clear"


def test_two_templates_whose_prompts_end_differently():
    rows = [row([*p[:-1], SEP if n % 2 else 33], a, 12) for n, (p, a) in enumerate(pairs())]

    assert judged("data-prompt-mask-misaligned", calls(rows, 12) + generation(*ASKED)) == "clear"


def test_a_mask_that_is_counted_in_another_row():
    rows = [row([*p, *a[:shift]], a[shift:], 14) for shift, (p, a) in [(n // 3 % 3, pair) for n, pair in enumerate(pairs())]]
    found = judged("data-prompt-mask-misaligned", calls(rows, 14) + generation(*ASKED))

    assert "of the rows only" in found.title


@pytest.mark.parametrize(
    ("asked", "tokens", "expected"),
    [
        (ASKED, {}, "error"),
        ([[BOS, BOS, 5, SEP]] * 2, {"bos_token_id": BOS}, "clear"),
        ([], {"bos_token_id": BOS}, "warning"),
        ([], {}, "clear"),
    ],
)
def test_rows_that_begin_twice(asked, tokens, expected):
    rows = [row([BOS, *p], a, 14) for p, a in pairs()]
    found = judged("data-double-bos", calls(rows, 14) + generation(*asked), model=model(**tokens))

    assert (found if isinstance(found, str) else (found.severity.value if found.severity else "error")) == expected


def test_data_that_begins_with_blanks_is_no_double_beginning():
    rows = [row([0] * (1 + n % 4) + [5 + n % 7, 6], [9 + n % 5, 8], 12) for n in range(COUNT)]

    assert judged("data-double-bos", calls(rows, 12) + generation([0, 5, 6])) == "clear"


@pytest.mark.parametrize(
    ("empty", "value", "backwards", "expected"),
    [(1, None, 1, "error"), (1, None, 0, "clear"), (1, 0.0, 1, "clear"), (5, 0.0, 1, "warning"), (20, 0.0, 1, "error")],
)
def test_batches_without_labels(empty, value, backwards, expected):
    rows = [row(p, a, 12) for p, a in pairs()]
    events = calls(rows, 12, count=20, value=1.0, backwards=1)
    for event in events[:empty]:
        event |= {"value": value, "backwards": backwards, "target": event["target"] | {"ignored": 1.0}}
    found = judged("data-all-labels-masked", events)

    assert (found if isinstance(found, str) else (found.severity.value if found.severity else "error")) == expected

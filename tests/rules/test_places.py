"""The line that a person would edit, derived from source and record, in several styles of program."""

from __future__ import annotations

from textwrap import dedent

import pytest

from cognate.case.case import Case
from cognate.rules.places import (
    criterion,
    factor_place,
    index_offset,
    literal_of,
    not_a_number,
    rate_place,
    shifting,
    shuffled_apart,
    spelled,
)
from cognate.rules.source import epoch_end


def case_of(text: str, **parts) -> Case:
    return Case.of(source={"t.py": dedent(text).lstrip("\n")}, **parts)


def line(site) -> int | None:
    return site["line"] if site else None


def at(number: int) -> dict:
    return {"file": "t.py", "line": number, "function": "f"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nCOST, STEPS = 4.0, 5\n", 2),
        ("class C:\n    cost: float = 4.0\n", 2),
        ("spec = {\n    'cost': 4.0,\n}\n", 2),
        ("x = 1\nnet = Net(\n    cost=4)\n", 3),
        ("p.add_argument('--n', default=4.0)\np.add_argument('--cost', type=float, default=4.0)\n", 2),
        ("def f(\n    x, *, cost=4.0):\n    pass\n", 2),
        ("def f(x, cost=1.0):\n    pass\nf(x, cost=4.0)\n", 3),
        ("cost = 4.0\nother = f(cost=4.0)\n", None),  # two places: which of them counts is not known
        ("cost = 5.0\n", None),  # the run had another value
    ],
)
def test_a_literal_is_found_by_its_name_and_the_recorded_value(text, expected):
    names = ("cost",) if "COST" not in text else ("COST",)
    assert line(literal_of(case_of(text), names, 4.0)) == expected


def test_a_flag_is_no_number():
    assert literal_of(case_of("spec = {'bidirectional': 1}\n"), ("bidirectional",), True) is None
    assert line(literal_of(case_of("spec = {'bidirectional': True}\n"), ("bidirectional",), True)) == 1


def test_a_class_chosen_by_its_name_is_found_once():
    assert line(spelled(case_of("import torch\nspec = {'act': 'sigmoid'}\n"), "Sigmoid")) == 2
    assert spelled(case_of("a = 'sigmoid'\nb = 'Sigmoid'\n"), "Sigmoid") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ARGS = TrainingArguments(\n    learning_rate=0.1)\n\nTrainer(args=ARGS).train()\n", 2),
        ("KW = {'lr': 0.1}\n\n\nopt = SGD(p, **KW)\n", 1),
        ("class S:\n    lr: float = 0.1\n\nopt = SGD(p, lr=s.lr)\n", 2),
        ("def fit(lr=0.003):\n    pass\n\nopt = SGD(p, lr=lr); fit(lr=0.1)\n", 4),
        ("\n\n\nopt = SGD(p, lr=0.1)\n", 4),
    ],
)
def test_the_rate_is_found_in_every_style(text, expected):
    case = Case.of(source={"t.py": text}, events=[{"kind": "optimizer", "site": at(4), "groups": [{"lr": 0.1}, {"lr": 0.1}]}])
    assert line(rate_place(case, at(4))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loss_fn = nn.MSELoss(reduction='sum')\n\nloss = loss_fn(a, b)\n", 1),
        ("other = nn.L1Loss(reduction='sum')\n\nloss = F.mse_loss(a, b, reduction='sum')\n", 3),
        ("KW = {'reduction': 'sum'}\nloss_fn = nn.MSELoss(**KW)\nloss = loss_fn(a, b)\n", 1),
        ("a = nn.MSELoss(reduction='sum')\nb = nn.MSELoss(reduction='sum')\nloss = b(x, y)\n", None),
    ],
)
def test_a_summed_loss_is_found_where_it_was_made(text, expected):
    assert line(criterion(case_of(text), at(3), "mse_loss", "reduction", "sum")) == expected


@pytest.mark.parametrize(
    ("function", "cls"),
    [
        ("cross_entropy", "CrossEntropyLoss"),
        ("nll_loss", "NLLLoss"),
        ("binary_cross_entropy", "BCELoss"),
        ("binary_cross_entropy_with_logits", "BCEWithLogitsLoss"),
        ("smooth_l1_loss", "SmoothL1Loss"),
        ("kl_div", "KLDivLoss"),
    ],
)
def test_each_function_has_its_module(function, cls):
    case = case_of(f"crit = nn.{cls}(reduction='sum')\nloss = crit(a, b)\n")
    assert line(criterion(case, at(2), function, "reduction", "sum")) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(self, tau=0.8):\n    self.tau = tau\n\nloss = ce + self.tau * ponder\n", 1),
        ("TAU = 0.8\n\n\nloss = ce + ponder * TAU\n", 1),
        ("\n\n\nloss = ce + 0.8 * ponder\n", 4),
        ("TAU = 0.5\n\n\nloss = ce + TAU * ponder\n", None),
    ],
)
def test_the_factor_of_a_term_is_followed_to_its_literal(text, expected):
    assert line(factor_place(Case.of(source={"t.py": text}), at(4), 0.8)) == expected


def test_a_shift_in_the_data_is_found_in_the_class_that_was_loaded():
    text = """
        class Words:
            def __getitem__(self, i):
                labels = self.ids[i].roll(-1)
                return self.ids[i], labels


        class Chunks:
            def __getitem__(self, i):
                row = self.rows[i]
                return row[:-1], row[1:]


        class Plain:
            def __getitem__(self, i):
                return self.ids[i], self.ids[i]
        """
    assert [line(shifting(case_of(text), {name})) for name in ("Words", "Chunks", "Plain")] == [3, 10, None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = x[torch.randperm(len(x))]\ny = y[torch.randperm(len(y))]\nx_tr, y_tr = x[:9], y[:9]\n", 1),
        ("def f(a, b):\n    random.shuffle(a)\n    random.shuffle(b)\n    return zip(a, b)\n", 2),
        ("random.shuffle(train)\nrandom.shuffle(val)\na, b = read(train), read(val)\n", None),
        ("order = torch.randperm(9)\nx = x[order]\ny = y[order]\n", None),
        ("x = x[torch.randperm(9, generator=g)]\ny = y[torch.randperm(9, generator=h)]\nzip(x, y)\n", None),
        ("x = x[torch.randperm(9)]\nx = x[torch.randperm(9)]\n", None),
    ],
)
def test_two_shuffles_of_their_own(text, expected):
    assert line(shuffled_apart(case_of(text))) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("start = (i + 1) * W\n        return self.x[start : start + W], self.y[i]", 3),
        ("return self.x[i], self.y[i - 1]", 3),
        ("return self.x[i], self.y[i]", None),
        ("return self.x[i + 1], self.y[i + 1]", None),
        ("end = i + self.window\n        return self.x[i:end], self.x[end]", None),
    ],
)
def test_an_index_that_one_of_two_moves(body, expected):
    case = case_of(f"class D(Dataset):\n    def __getitem__(self, i):\n        {body}\n")
    assert line(index_offset(case, "D")) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = load()\nx[3:5] = float('nan')\n", 2),
        ("x = load()\nx[3] = x[3] / 0.0\n", 2),
        ("x = load()\nx = x.masked_fill(gone, np.nan)\n", 2),
        ("best = float('nan')\n", None),
        ("x[1] = torch.nan\nx[2] = torch.nan\n", None),
    ],
)
def test_what_puts_nan_into_the_data(text, expected):
    assert line(not_a_number(case_of(text))) == expected


def test_the_end_of_an_epoch_is_behind_the_loop_over_batches():
    nested = "for epoch in range(9):\n    for b in data:\n        opt.step()\n    evaluate()\n    print(1)\n"
    assert line(epoch_end(case_of(nested), at(3))) == 4
    method = "def one():\n    for b in data:\n        opt.step()\n\nfor epoch in range(9):\n    one()\n"
    assert line(epoch_end(case_of(method), at(3))) == 6
    twice = method + "for epoch in range(9):\n    one()\n"
    assert epoch_end(case_of(twice), at(3)) is None
    assert epoch_end(case_of("for b in data:\n    opt.step()\n"), at(2)) is None

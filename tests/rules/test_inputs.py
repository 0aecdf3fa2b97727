"""From a recorded forward back to the statement that made its data, in several styles of program."""

from __future__ import annotations

from textwrap import dedent

import pytest

from cognate.case.case import Case
from cognate.rules.inputs import data_place, loaded_place

LOADED = {"kind": "forward", "inputs": [{"hash": 7}], "site": {"file": "t.py", "line": 1}}


def loader(line: int, label: str = "loader#0", file: str = "t.py") -> dict:
    return {"kind": "loader", "object": label, "site": {"file": file, "line": line, "function": "f"}}


def loaded(text: str, *loaders: dict, label: str = "loader#0", **more: str) -> int | None:
    batch = {"kind": "batch", "object": label, "tensors": [{"hash": 7}, {"hash": 8}]}
    case = Case.of(source={"t.py": dedent(text).lstrip("\n"), **more}, events=[*loaders, batch])
    place = data_place(case, LOADED)
    return place["line"] if place else None


def test_tensors_that_a_loader_only_holds_are_followed():
    assert loaded("x = load()\nx_tr, x_te = x[:9], x[9:]\ndl = DataLoader(TensorDataset(x_tr, y), 8)\n", loader(3)) == 2


def test_a_data_set_with_a_name_is_where_it_is_made():
    text = """
        def build(s):
            for part in parts:
                data = Windows(part, s.window)
                loaders[part] = DataLoader(dataset=data, batch_size=8)
        """
    assert loaded(text, loader(4)) == 3


def test_an_attribute_is_followed_within_its_class():
    text = """
        class Trainer:
            def __init__(self):
                self.rows = read()

            def fit(self):
                dl = DataLoader(TensorDataset(self.rows), 8)
        """
    assert loaded(text, loader(6)) == 3


def test_a_parameter_is_what_the_call_gave():
    text = """
        train = data[:9]
        val = data[9:]

        def make(part):
            return DataLoader(TensorDataset(part[:, :4], part[:, 4:]), 8)

        train_dl, val_dl = make(train), make(val)
        """
    loaders = [loader(5, "loader#0"), loader(5, "loader#1")]
    assert loaded(text, *loaders, label="loader#0") == 1
    assert loaded(text, *loaders, label="loader#1") == 2


def test_several_loaders_on_one_line_are_told_apart():
    text = "a = f()\nb = g()\nx, y = DataLoader(a, 8), DataLoader(b, 8)\n"
    loaders = [loader(3, "loader#0"), loader(3, "loader#1")]
    assert [loaded(text, *loaders, label=name) for name in ("loader#0", "loader#1")] == [1, 2]


def test_a_call_in_place_is_its_own_line():
    assert loaded("import torch\ndl = DataLoader(Windows(*read(9)), 8)\n", loader(2)) == 2


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("x, y = oversample(x, y)\nx_val = x[9:]\nout = net(x_val)\n", 3, 2),
        ("x_val = x[9:]\nfor idx in order:\n    out = net(x_val[idx].float())\n", 3, 1),
        ("def score(net, x):\n    return net(x)\n\nheld = data[9:]\nscore(net, held)\n", 2, 4),
        ("def score(net, x):\n    return net(x)\n\none = f()\ntwo = g()\nscore(a, one)\nscore(a, two)\n", 2, None),
        ("out = net(make())\n", 1, None),
    ],
)
def test_tensors_without_a_loader_are_followed_by_name(text, line, expected):
    forward = {"kind": "forward", "inputs": [{"hash": 7}], "site": {"file": "t.py", "line": line}}
    place = data_place(Case.of(source={"t.py": text}, events=[]), forward)
    assert (place["line"] if place else None) == expected


def test_a_loader_that_a_library_made_leads_nowhere():
    case = Case.of(source={"t.py": "trainer.fit()\n"}, events=[loader(1)])
    assert loaded_place(case, loader(1)) is None

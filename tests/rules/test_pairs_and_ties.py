"""What belongs together and was parted: labels from inputs, a head from its embedding; and what only looks parted."""

from __future__ import annotations

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules import Severity
from cognate.rules.pairing import dealt_apart
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}


def judged(name, **parts):
    outcome = run_rule(RULES[name], Case.of(**parts))
    return outcome.findings[0] if outcome.findings else outcome.status


def line_of(text):
    site = dealt_apart(Case.of(source={"t.py": text}))
    return site and site["line"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ds = TensorDataset(x, y[torch.randperm(len(y))])", 1),
        ("ds = PairDataset(x[rng.permutation(9)], y[rng.permutation(9)])", 1),
        ("def make():\n    y = y[torch.randperm(9)]\n    return x, y", 2),
        ("random.shuffle(labels)\nrows = list(zip(images, labels))", 1),
    ],
)
def test_one_of_a_pair_has_an_order_of_its_own(text, line):
    assert line_of(text) == line


@pytest.mark.parametrize(
    "text",
    [
        "p = torch.randperm(9)\nds = TensorDataset(x[p], y[p])",
        "rows = list(zip(x, y))\nrandom.shuffle(rows)",
        "train = train[torch.randperm(len(train))]\nfit(model, train)",
        "rows = rows[torch.randperm(9)]\nds = TensorDataset(rows)",
        "for rows in torch.randperm(len(x)).split(50):\n    loss = f(x[rows], y[rows])",
        "score = critic(x, y[torch.randperm(len(y))])",  # negative samples
    ],
)
def test_orders_that_keep_pairs_together(text):
    assert line_of(text) is None


def misaligned(text, *gaps):
    at = zip((100, 200, 400), gaps, strict=True)
    probes = [
        {"probe": "input_dependence", "status": "ok", "step": s, "result": {"real": 1.0 - gap, "shifted": 1.0, "scale": 0.1}}
        for s, gap in at
    ]
    probes.append({"probe": "overfit_batch", "status": "ok", "step": 40, "result": {"first": 0.5, "last": 0.02, "steps": 60}})
    metrics = [{"step": s, "loss": 0.8, "update_ratio": 1e-2} for s in range(300)]
    return judged("data-input-label-misaligned", probes=probes, metrics=metrics, source={"t.py": text})


def test_without_a_baseline_the_source_and_the_blindness_of_the_model_have_to_agree():
    dealt = "ds = TensorDataset(x, y[torch.randperm(len(y))])"

    assert misaligned(dealt, 0.0, 0.02, 0.11).location.line == 1
    assert misaligned(dealt, 0.5, 0.7, 0.9) == "clear"  # it learned what it was meant to
    assert misaligned("ds = TensorDataset(x, y)", 0.0, 0.02, 0.11) == "skipped"


HEAD = {"name": "head.weight", "shape": [50, 8], "storage": 2}
TABLE = {"name": "emb.weight", "shape": [50, 8], "storage": 1}


def tied(*used, head=HEAD, source="model.head = torch.nn.Linear(8, 50, bias=False)", roots=1):
    trace = []
    for window, weight in zip((1, 40), used, strict=True):
        nodes = [
            {"op": "embedding", "in": [], "p": ["emb.weight"], "m": "emb"},
            {"op": "linear", "in": [0], "p": [weight], "m": "head"},
        ]
        trace += [{"w": window, "i": i, "shape": [4, 8], "g": True} | node for i, node in enumerate(nodes)]
        trace.append({"w": window, "root": 1})
    model = {"roots": [{"cls": "LM", "parameters": [TABLE, head]}] * roots}
    return judged("model-tied-weights-broken", trace=trace, model=model, source={"t.py": source})


def test_a_head_that_lost_the_table_it_began_with():
    found = tied("emb.weight", "head.weight")

    assert "has its own weight by step 40" in found.title and found.location.line == 1


def test_heads_that_lost_nothing():
    assert tied("emb.weight", "emb.weight") == "skipped"
    assert tied("head.weight", "head.weight") == "skipped"  # never tied
    assert tied("emb.weight", "head.weight", head=HEAD | {"storage": 1}) == "skipped"
    assert tied("emb.weight", "head.weight", source="config.tie_word_embeddings = False") == "skipped"  # on purpose
    assert tied("emb.weight", "head.weight", roots=2) == "skipped"  # a teacher and its student


HELPER = "def weights(i, o):\n    w = {make}\n    return [w.requires_grad_()]\nparams = weights(2, 9) + weights(9, 3)\n"


def symmetric(text):
    return judged("model-symmetric-init", source={"t.py": text})


def test_matrices_made_by_hand_of_one_number():
    found = symmetric(HELPER.format(make="torch.full((i, o), i ** -0.5)"))

    assert found.location.line == 2 and found.severity is Severity.WARNING
    assert symmetric("a = torch.ones(4, 9, requires_grad=True)\nb = nn.Parameter(torch.ones(9, 2))\n").location.line == 1


@pytest.mark.parametrize(
    "text",
    [
        HELPER.format(make="torch.randn(i, o) * i ** -0.5"),
        HELPER.format(make="torch.full((i, o), 0.1) * torch.randn(i, 1)"),
        HELPER.format(make="torch.zeros(i, o)"),
        HELPER.format(make="torch.ones(o)"),  # scales
        HELPER.format(make="torch.ones(i, o)").replace("    return", "    w.uniform_(-1, 1)\n    return"),
        "w = torch.ones(4, 3, requires_grad=True)\n",  # a logistic regression
        "a = torch.ones(4, 9)\nb = torch.ones(9, 2)\n",  # masks
        "a = torch.ones(4, 9, requires_grad=True)\nb = torch.ones(9, 2, requires_grad=True)\n"
        "w = torch.randn(9, 9).requires_grad_()\n",
    ],
)
def test_matrices_made_by_hand_that_part(text):
    assert symmetric(text) == "skipped"

"""The order of the data, what workers draw, and what packed or unread tokens do: near relations that are healthy."""

from __future__ import annotations

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}
END = [{"kind": "call_counts", "counts": {}}]


def judged(name, **parts):
    outcome = run_rule(RULES[name], Case.of(**parts))
    return outcome.findings[0] if outcome.status == "fired" else outcome.status


def loader(number=0, **more):
    row = {"kind": "loader", "object": f"loader#{number}", "dataset": "Rows", "dataset_id": "dataset#0", "workers": 0}
    return row | {"sampler": "RandomSampler", "shuffles": True, "site": {"file": "t.py", "line": 5}, "n": 10 * number} | more


def batches(order, number=0, passes=3, step=1):
    """`order(pass, index)` gives the hashes of a batch's tensors; `step` is 0 for an evaluation."""
    base = {"kind": "batch", "object": f"loader#{number}"}
    return [
        base | {"number": p, "index": i, "step": 9 * p + step * i, "tensors": [{"hash": h} for h in order(p, i)]}
        for p in range(passes)
        for i in range(4)
    ]


def same(_, i):
    return [i, 50 + i]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([loader(), *batches(same)], "fired"),
        ([loader(), *batches(lambda p, i: [100 * p + i, 50 + i])], "fired"),  # augmented inputs, labels in one order
        ([loader(), *batches(lambda p, i: [100 * p + i, 7 * p + i])], "clear"),
        ([loader(), *batches(same, step=0)], "clear"),  # an evaluation
        ([loader(), *batches(lambda p, i: [1, 2])], "clear"),  # all batches equal: nothing is seen of their order
        ([loader(), *batches(same, passes=1)], "clear"),
        ([loader(sampler="SequentialSampler", shuffles=False), *batches(same)], "skipped"),
        ([loader(sampler="DistributedSampler", reorders=False), *batches(same)], "skipped"),
        ([loader(sampler="ByLength"), *batches(same)], "skipped"),  # an order of the script's own making
        ([loader(n) for n in (0, 1)] + [b for n in (0, 1) for b in batches(same, n, 1)], "fired"),  # rebuilt in each epoch
    ],
)
def test_the_order_of_passes_over_a_shuffled_loader(events, expected):
    found = judged("data-epoch-order-repeats", events=events + END)

    assert (found if isinstance(found, str) else "fired") == expected


def test_a_second_model_may_see_the_first_ones_order():
    optimizers = [{"kind": "optimizer", "n": n, "object": f"optimizer#{n}"} for n in (1, 5)]
    events = [loader(0, n=0), loader(1, n=9), *optimizers, *batches(same, 0, 1), *batches(same, 1, 1)]

    assert judged("data-epoch-order-repeats", events=events + END) == "clear"


DISTRIBUTED = """
def worker(rank):
    sampler = DistributedSampler(rows)
    for epoch in range(9):
        {told}for batch in DataLoader(rows, sampler=sampler):
            step(batch)
"""


@pytest.mark.parametrize(
    ("told", "head", "steps", "expected"),
    [
        ("", "", 0, "warning"),
        ("sampler.set_epoch(epoch)\n        ", "", 0, "skipped"),
        ("", "import lightning", 0, "skipped"),
        ("", "", 20, "skipped"),  # the script trained in this process, without that sampler
    ],
)
def test_a_sampler_in_processes_that_are_not_recorded(told, head, steps, expected):
    metrics = [{"step": step, "loss": 1.0} for step in range(steps)]
    found = judged("data-epoch-order-repeats", events=END, metrics=metrics, source={"t.py": head + DISTRIBUTED.format(told=told)})

    assert (found if isinstance(found, str) else found.severity.value) == expected


LOOP = "for epoch in range(9):\n    order = torch.randperm(99, generator=torch.Generator().manual_seed({seed}))\n"


@pytest.mark.parametrize(
    ("seed", "expected"), [("0", "fired"), ("SEED", "fired"), ("epoch", "skipped"), ("epoch + 1", "skipped")]
)
def test_an_order_that_is_drawn_by_hand(seed, expected):
    forwards = [{"kind": "forward", "grad": True, "step": s, "rows": [10 * (s % 4) + k for k in range(8)]} for s in range(12)]
    metrics = [{"step": step, "loss": 1.0} for step in range(12)]
    found = judged("data-epoch-order-repeats", events=forwards + END, metrics=metrics, source={"t.py": LOOP.format(seed=seed)})

    assert (found if isinstance(found, str) else "fired") == expected


DATASET = """
class Crop:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, x):
        return self.shifted(x)

    def shifted(self, x):
        return x + {draw}
"""


def carried(states=(7, 7, 7), **more):
    kept = {"cls": "Crop", "attribute": "rng", "kind": "numpy Generator"}
    call = {"kind": "call", "name": "loader_iter", "object": "loader#0"}
    passes = [call | {"number": n, "generators": {"crop.rng": kept | {"state": s}}} for n, s in enumerate(states)]
    return [loader(workers=2, **more), *passes]


@pytest.mark.parametrize(
    ("events", "draw", "expected"),
    [
        (carried(), "self.rng.normal()", "fired"),
        (carried(), "1", "clear"),  # held, and not drawn from
        (carried((7, 8, 9)), "self.rng.normal()", "clear"),  # advanced in this process: not drawn from by copies alone
        (carried(worker_init=True), "self.rng.normal()", "clear"),
        (carried(iterable=True), "self.rng.normal()", "clear"),
        (carried(), "self.rng.normal() + self.rng.seed(torch.initial_seed())", "clear"),
    ],
)
def test_a_generator_that_hangs_on_a_transform(events, draw, expected):
    found = judged("data-worker-rng-identical", events=events, source={"t.py": DATASET.format(draw=draw)})

    assert (found if isinstance(found, str) else f"fired at {found.location.line}"[:5]) == expected


def test_workers_whose_batches_are_equal():
    twice = [loader(workers=2), *batches(lambda p, i: [i // 2])]

    assert "first batches are equal" in judged("data-worker-rng-identical", events=twice).title
    assert judged("data-iterable-worker-duplication", events=[twice[0] | {"iterable": False}, *twice[1:]]) == "skipped"


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"later": 0.3}, "error"),
        ({"later": 1e-6}, "clear"),
        ({"later": 0.3, "documents": 2.0, "boundaries_scored": 1.0}, "clear"),  # a prompt and its answer
        ({"later": 0.3, "documents": 9.0, "boundaries_scored": 1.0}, "clear"),  # bars of music, lines of an image
        ({"later": 0.3, "told": "positions", "boundaries_scored": 1.0}, "clear"),
        ({"later": 0.3, "documents": 2.0, "boundaries_scored": 0.0}, "error"),
        ({"later": 0.3, "told": "positions", "scored": 0.99, "boundaries_scored": 0.3}, "warning"),
        ({"later": 0.3, "told": "positions", "scored": 0.99}, "error"),
        ({"later": 0.3, "told": "positions", "scored": 0.5}, "error"),
        ({"later": 8e-3, "own": 2.0}, "clear"),  # half precision
    ],
)
def test_packed_documents(result, expected):
    usual = {"told": "segments", "documents": 3.0, "own": 2.0, "scale": 1.0, "boundaries_scored": 0.0, "scored": 0.95}
    found = judged("data-packing-leak", probes=[{"probe": "packing", "status": "ok", "step": 2, "result": usual | result}])

    assert (found if isinstance(found, str) else (found.severity.value if found.severity else "error")) == expected


def test_the_mask_is_where_a_leak_is_mended():
    source = {"m.py": "def forward(self, x):\n    allowed = causal\n    scores = scores.masked_fill(~allowed[:, None], -inf)\n"}
    usual = {
        "told": "segments",
        "documents": 3.0,
        "own": 2.0,
        "scale": 1.0,
        "boundaries_scored": 0.0,
        "scored": 0.95,
        "later": 1.0,
    }
    probe = {"probe": "packing", "status": "ok", "step": 2, "result": usual}

    trace = [
        {"w": 0, "i": 0, "op": "masked_fill", "ig": True, "site": {"file": "m.py", "line": 3}},
        {"w": 0, "root": 0, "nodes": 1},
    ]

    assert judged("data-packing-leak", probes=[probe], source=source, trace=trace).location.line == 2


def test_a_mask_that_is_filled_too_weakly_is_another_fault():
    usual = {
        "told": "segments",
        "documents": 3.0,
        "own": 2.0,
        "scale": 1.0,
        "boundaries_scored": 0.0,
        "scored": 0.95,
        "later": 1.0,
    }
    probe = {"probe": "packing", "status": "ok", "step": 2, "result": usual}
    fill = {"w": 0, "i": 0, "op": "masked_fill", "ig": True, "g": True, "a": {"value": 0.0}}
    trace = [fill, {"w": 0, "i": 1, "op": "softmax", "in": [0], "ig": True, "g": True}, {"w": 0, "root": 1, "nodes": 2}]

    assert judged("data-packing-leak", probes=[probe], trace=trace) == "clear"
    assert judged("data-packing-leak", probes=[probe], trace=[fill | {"a": {"value": "-inf"}}, *trace[1:]]) != "clear"


def plateau(shifted, level=3.0, ratio=1e-2, step=100):
    target = {"offsets": {"0": {"1": 1.0}}, "histogram": {"counts": {str(n): 10 for n in range(21)}}}
    call = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "target": target, "step": 1}
    result = {"real": 3.0, "shifted": shifted}
    return {
        "events": [call],
        "probes": [{"probe": "input_dependence", "status": "ok", "step": step, "result": result}],
        "metrics": [{"step": s, "loss": level, "update_ratio": ratio} for s in range(150)],
    }


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (plateau(3.0), "fired"),
        (plateau(3.01), "clear"),  # on its way through the plateau: the tokens are seen
        (plateau(3.0, level=9.0), "clear"),  # worse than any guess: another fault
        (plateau(3.0, ratio=1e-6), "clear"),  # weights that have not moved
        (plateau(3.0, step=10), "skipped"),
    ],
)
def test_a_language_model_at_the_entropy_of_its_tokens(parts, expected):
    found = judged("data-unigram-plateau", **parts)

    assert (found if isinstance(found, str) else "fired") == expected

"""Rules about time: what is slow, and the many healthy reasons why a step takes long."""

from __future__ import annotations

from typing import Any

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}
DATASET = """
class Windows:
    def __init__(self, signal):
        self.signal = signal
    def __getitem__(self, i):
        start = i * 32
        {}
"""


def loading(waits: float, whole: float, workers: int = 0, item: str = "return self.signal[start]") -> Case:
    loader = {"kind": "loader", "object": "loader#0", "batch_size": 50, "dataset": "Windows", "workers": workers, "n": 1}
    rows = [{"step": s, "step_time": whole, "data_time": waits} for s in range(40)]
    site = {"file": "t.py", "line": 20}
    return Case.of(events=[{**loader, "site": site}], metrics=rows, source={"t.py": DATASET.format(item)})


@pytest.mark.parametrize(
    ("case", "status"),
    [
        (loading(0.06, 0.08), "fired"),
        (loading(0.0004, 0.0006), "clear"),  # a tiny model waits for cheap collation
        (loading(0.02, 0.08), "clear"),  # dear, but less than the rest of the step
        (loading(0.001, 0.0015, workers=2), "clear"),  # handing over from a worker
        (loading(0.06, 0.08, workers=2), "fired"),
    ],
)
def test_waiting_for_data(case, status):
    assert run_rule(RULES["perf-dataloader-bound"], case).status == status


@pytest.mark.parametrize(
    ("item", "line"),
    [
        ("signal = (self.signal - self.signal.mean()) / self.signal.std()\n        return signal[start]", 7),
        ("noise = torch.randn(len(self.signal))\n        return self.signal[start] + noise", 20),  # new for each item
        ("return augment(self.signal[start])", 20),
    ],
)
def test_the_place_of_slow_loading(item, line):
    (finding,) = run_rule(RULES["perf-dataloader-bound"], loading(0.06, 0.08, item=item)).findings
    assert finding.location is not None and finding.location.line == line


def compiled(*counts: int, limit: int = 8) -> Case:
    return Case.of(
        events=[{"kind": "compile", "n": i, "function": f"f{i}", "count": c, "limit": limit} for i, c in enumerate(counts)]
    )


@pytest.mark.parametrize(
    ("case", "status"),
    [
        (compiled(1, 2, 3), "clear"),
        (compiled(1, 8), "fired"),
        (compiled(4, limit=4), "fired"),
        (compiled(*[1] * 40), "clear"),  # many functions, each once
    ],
)
def test_compilations(case, status):
    assert run_rule(RULES["perf-recompile-storm"], case).status == status


def steps(times: list[float], events: list[dict[str, Any]] | None = None) -> Case:
    return Case.of(metrics=[{"step": s, "step_time": t} for s, t in enumerate(times)], events=events or [])


def test_slow_steps_that_the_recorder_caused_are_not_counted():
    rows = [{"step": s, "step_time": 2.0, "tensors": 4} if s % 7 == 3 else {"step": s, "step_time": 0.1} for s in range(400)]
    outcome = run_rule(RULES["perf-step-outliers"], Case.of(metrics=rows))
    assert outcome.status == "clear" and outcome.evidence.startswith("0 of")


def test_slow_steps_at_evaluations_are_healthy():
    slow = [13, 29, 34, 61, 77, 92, 118, 144, 150, 183, 199, 222, 240]
    events = [{"kind": "call", "name": "eval", "step": s, "n": s} for s in slow]
    times = [2.0 if s in slow else 0.1 for s in range(300)]
    assert run_rule(RULES["perf-step-outliers"], steps(times, events)).status == "clear"
    assert run_rule(RULES["perf-step-outliers"], steps(times)).status == "fired"


def forward(step: int, length: int) -> dict[str, Any]:
    return {"kind": "forward", "grad": True, "step": step, "n": step, "inputs": [{"shape": [8, length]}]}


def test_longer_sequences_are_no_regression():
    times = [0.1 if s < 200 else 0.3 for s in range(400)]
    longer = [forward(s, 16 if s < 200 else 64) for s in range(0, 400, 40)]
    assert run_rule(RULES["perf-throughput-regression"], steps(times, longer)).status == "clear"
    equal = [forward(s, 16) for s in range(0, 400, 40)]
    assert run_rule(RULES["perf-throughput-regression"], steps(times, equal)).status == "fired"


def test_a_slow_spell_in_the_middle_is_no_regression():
    times = [0.3 if 150 < s < 250 else 0.1 for s in range(400)]
    assert run_rule(RULES["perf-throughput-regression"], steps(times)).status == "clear"


LOOP = "for x in loader:\n    loss = model(x)\n    loss.backward()\n    optimizer.step()\n{}"


@pytest.mark.parametrize(
    ("device", "rest", "status"),
    [
        ("cuda:0", "    total += loss.item()\n    best = metric(x).cpu()\n", "fired"),
        ("cuda:0", "    total += loss.item()\n", "clear"),
        ("cuda:0", "    if step % 10 == 0:\n        a = loss.item()\n        b = x.tolist()\n", "clear"),
        ("cpu", "    total += loss.item()\n    best = metric(x).cpu()\n", "clear"),
    ],
)
def test_reading_from_the_device(device, rest, status):
    model = {"roots": [{"cls": "Net", "parameters": [{"name": "w", "device": device, "shape": [2]}]}]}
    event = {"kind": "call", "name": "step", "step": 1, "n": 1, "site": {"file": "t.py", "line": 4}}
    case = Case.of(source={"t.py": LOOP.format(rest)}, model=model, events=[event])
    assert run_rule(RULES["perf-host-sync-per-step"], case).status == status


@pytest.mark.parametrize(("padded", "status"), [(0.7, "fired"), (0.3, "clear"), (None, "skipped")])
def test_padding(padded, status):
    target = {"shape": [64]} | ({"padding": {"id": 0, "padded": padded}} if padded is not None else {})
    calls = [{"kind": "loss_call", "fn": "cross_entropy", "grad": True, "step": s, "n": s, "target": target} for s in range(6)]
    assert run_rule(RULES["perf-padding-waste"], Case.of(events=calls)).status == status


def recurrence(gate: str) -> Case:
    """`c = gate(…) * c + x` for 64 steps, the gate made from the state itself, from the input, or constant."""
    site = {"file": "model.py", "line": 30, "function": "forward"}
    rows: list[dict[str, Any]] = [{"w": 1, "i": 0, "op": "zeros", "in": [], "site": site}]
    for _ in range(64):
        state, i = (0 if len(rows) == 1 else len(rows) - 1), len(rows)
        sources = {"state": [state], "input": [0], "constant": []}[gate]
        rows.append({"w": 1, "i": i, "op": "sigmoid", "in": sources, "g": True, "site": site | {"line": 29}})
        rows.append({"w": 1, "i": i + 1, "op": "mul", "in": [i, state], "g": True, "site": site})
        rows.append({"w": 1, "i": i + 2, "op": "add", "in": [i + 1], "g": True, "site": site})
    return Case.of(trace=[*rows, {"w": 1, "root": len(rows) - 1, "nodes": len(rows)}])


@pytest.mark.parametrize(("gate", "status"), [("state", "clear"), ("input", "fired"), ("constant", "fired")])
def test_a_loop_whose_gates_depend_on_its_state_cannot_be_unrolled(gate, status):
    assert run_rule(RULES["perf-python-loop-over-time"], recurrence(gate)).status == status

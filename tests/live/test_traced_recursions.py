"""Recursions and halting as the trace of a real forward shows them, each with its fault and without it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.observe.live.modules import Modules
from cognate.observe.live.optrace import OpTrace
from cognate.observe.live.recorder import Recorder
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}
HERE = Path(__file__)
BATCH, WIDTH, STEPS = 16, 6, 5


class Loop(nn.Module):
    """Reads, thinks for a few steps, answers; what a step does is given by `step`."""

    def __init__(self, step, gain: float = 1.0):
        super().__init__()
        self.read, self.cell, self.out = nn.Linear(4, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 3)
        self.halt = nn.Linear(WIDTH, 1)
        self.step = step
        with torch.no_grad():
            self.cell.weight.mul_(gain)

    def forward(self, x):
        return self.step(self, x)


@pytest.fixture
def traced(tmp_path):
    """The case of one traced window: `window(step, cost)` gives what a loop of that step, and its cost, look like."""

    def window(step, cost=None, gain: float = 1.0) -> Case:
        torch.manual_seed(0)
        options = {"probe": "0", "roots": str(HERE.parent)}
        recorder = Recorder(SimpleNamespace(options=options, folder=tmp_path, early=[], waiting=False))
        recorder.step = 1
        modules = Modules(recorder)
        model, x, y = Loop(step, gain), torch.randn(BATCH, 4), torch.randint(0, 3, (BATCH,))
        modules.names = {id(module): name for name, module in model.named_modules()}
        mode = OpTrace(recorder, modules, {id(p): name for name, p in model.named_parameters()}, {id(x): "input0"})
        with mode:
            result = model(x)
            scores, extra = result if isinstance(result, tuple) else (result, None)
            loss = F.cross_entropy(scores, y)
            if cost is not None:
                loss = loss + 0.01 * cost(extra)
        mode.finish(mode.known.get(id(loss)))
        trace = [row for file, row in recorder.rows if file == "trace"]
        return Case.of(trace=trace, source={HERE.name: HERE.read_text(encoding="utf-8")})

    return window


def judged(name: str, case: Case):
    outcome = run_rule(RULES[name], case)
    assert outcome.status != "crashed", outcome.reason
    return outcome


def line_of(function, text: str) -> int:
    first = function.__code__.co_firstlineno
    lines = HERE.read_text(encoding="utf-8").splitlines()
    return next(n for n in range(first, len(lines) + 1) if text in lines[n - 1])


# ── one tensor under two names ──────────────────────────────────────────────────────────────────────────────────────────


def shared_accumulators(self, x):
    state = self.read(x)
    total = count = torch.zeros_like(state)
    for _ in range(STEPS):
        state = torch.tanh(self.cell(state))
        total += state
        count += 1.0
    return self.out(total / count)


def own_accumulators(self, x):
    state = self.read(x)
    total, count = torch.zeros_like(state), torch.zeros_like(state)
    for _ in range(STEPS):
        state = torch.tanh(self.cell(state))
        total += state
        count += 1.0
    return self.out(total / count)


def multiplied_list(self, x):
    state = self.read(x)
    sums = [torch.zeros(BATCH, WIDTH)] * 2
    for n in range(STEPS - 1):
        state = torch.tanh(self.cell(state))
        sums[n % 2] += state
    return self.out(sums[0] + sums[1])


def appended_state(self, x):
    state, states = self.read(x), []
    for _ in range(STEPS):
        state += torch.tanh(self.cell(state.clone()))
        states.append(state)
    return self.out(torch.stack(states).mean(0))


def appended_copies(self, x):
    state, states = self.read(x), []
    for _ in range(STEPS):
        state = state + torch.tanh(self.cell(state))
        states.append(state)
    return self.out(torch.stack(states).mean(0))


def renamed_on_the_way(self, x):
    hidden = self.read(x) * 1.0
    hidden += 1.0
    output = hidden
    output *= 0.5
    for _ in range(STEPS):
        output = torch.tanh(self.cell(output))
    return self.out(torch.cat([output, output], 1)[:, :WIDTH])


@pytest.mark.parametrize(
    ("step", "text"),
    [(shared_accumulators, "total = count"), (multiplied_list, "* 2"), (appended_state, "state += ")],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_one_tensor_under_two_names_is_found_at_its_line(traced, step, text):
    outcome = judged("act-state-aliasing", traced(step))
    assert outcome.status == "fired"
    assert outcome.findings[0].location.line == line_of(step, text)


@pytest.mark.parametrize("step", [own_accumulators, appended_copies, renamed_on_the_way], ids=lambda step: step.__name__)
def test_tensors_of_their_own_and_renamings_are_left_alone(traced, step):
    assert judged("act-state-aliasing", traced(step)).status != "fired"


# ── halting that changes nothing ────────────────────────────────────────────────────────────────────────────────────────


def counted_only(self, x):
    state, on, used = self.read(x), torch.ones(BATCH), torch.zeros(BATCH)
    for _ in range(STEPS):
        state = torch.tanh(self.cell(state))
        p = torch.sigmoid(self.halt(state)).squeeze(1)
        used = used + on
        on = on * (p < 0.5).float()
        if not on.any():
            break
    return self.out(state), used


def held_by_where(self, x):
    state, on = self.read(x), torch.ones(BATCH, dtype=torch.bool)
    for _ in range(STEPS):
        new = torch.tanh(self.cell(state))
        state = torch.where(on[:, None], new, state)
        on = on & (torch.sigmoid(self.halt(state)).squeeze(1) < 0.5)
    return self.out(state)


def mixed_by_probability(self, x):
    state, left, mixture = self.read(x), torch.ones(BATCH, 1), 0.0
    for _ in range(STEPS):
        state = torch.tanh(self.cell(state))
        p = torch.sigmoid(self.halt(state))
        mixture, left = mixture + left * p * state, left * (1 - p)
        if bool((p > 0.99).all()):
            break
    return self.out(mixture + left * state)


def halted_as_a_batch(self, x):
    state = self.read(x)
    for _ in range(STEPS):
        state = torch.tanh(self.cell(state))
        p = torch.sigmoid(self.halt(state))
        (p > 0.5).float().sum()
        if p.mean() > 0.9:
            break
    return self.out(state)


def accuracy_of_each_step(self, x):
    state, right, judged_ = self.read(x), 0.0, 0.0
    for _ in range(STEPS):
        state = torch.tanh(self.cell(state))
        score = self.halt(state).squeeze(1)
        judged_ = judged_ + F.binary_cross_entropy_with_logits(score, torch.ones(BATCH))
        right = right + (torch.sigmoid(score) > 0.5).float().mean()
    return self.out(state), judged_


def test_a_decision_that_is_only_counted_is_found(traced):
    outcome = judged("act-halted-state-mutates", traced(counted_only))
    assert outcome.status == "fired" and outcome.findings[0].location.line == line_of(counted_only, "p < 0.5")


@pytest.mark.parametrize(
    "step",
    [held_by_where, mixed_by_probability, halted_as_a_batch, accuracy_of_each_step, own_accumulators],
    ids=lambda step: step.__name__,
)
def test_gates_mixtures_and_halting_as_a_batch_are_left_alone(traced, step):
    assert judged("act-halted-state-mutates", traced(step)).status != "fired"


# ── states that grow, steps that do nothing ─────────────────────────────────────────────────────────────────────────────


def squashed(self, x):
    state = self.read(x)
    for _ in range(8):
        state = torch.tanh(self.cell(state))
    return self.out(state)


def added_up(self, x):
    state = self.read(x)
    for _ in range(8):
        state = state + self.cell(state)
    return self.out(state)


def normalised(self, x):
    state = self.read(x)
    for _ in range(8):
        state = state + 3 * self.cell(F.layer_norm(state, (WIDTH,)))
    return self.out(F.layer_norm(state, (WIDTH,)))


def same_start(self, x):
    state = self.read(x)
    for _ in range(STEPS):
        new = torch.tanh(self.cell(state))
    return self.out(new)


def injected(self, x):
    state = torch.zeros(BATCH, WIDTH)
    for _ in range(STEPS):
        state = torch.tanh(self.cell(state) + self.read(x))
    return self.out(state)


def test_a_state_that_grows_by_a_factor_is_found(traced):
    outcome = judged("act-recursion-diverges", traced(added_up, gain=5.0))
    assert outcome.status == "fired" and outcome.findings[0].location.line == line_of(added_up, "self.cell")


@pytest.mark.parametrize(("step", "gain"), [(squashed, 5.0), (normalised, 5.0), (added_up, 0.5), (injected, 5.0)])
def test_squashes_norms_and_slow_sums_are_left_alone(traced, step, gain):
    assert judged("act-recursion-diverges", traced(step, gain=gain)).status == "clear"


def test_steps_that_start_from_the_same_state_do_nothing(traced):
    outcome = judged("act-recursion-noop", traced(same_start))
    assert outcome.status == "fired" and outcome.findings[0].location.line == line_of(same_start, "self.cell")


@pytest.mark.parametrize("step", [squashed, injected, normalised])
def test_an_input_that_is_read_at_each_step_is_no_idle_recursion(traced, step):
    assert judged("act-recursion-noop", traced(step)).status == "clear"


# ── a cost that is summed over the batch ────────────────────────────────────────────────────────────────────────────────


def expected_steps(self, x):
    state, left, mixture, steps = self.read(x), torch.ones(BATCH, 1), 0.0, 0.0
    for _ in range(STEPS):
        state = torch.tanh(self.cell(state))
        p = torch.sigmoid(self.halt(state))
        mixture, steps, left = mixture + left * p * state, steps + left, left * (1 - p)
    return self.out(mixture), steps


@pytest.mark.parametrize(
    ("cost", "status"),
    [
        (lambda steps: steps.sum(), "fired"),
        (lambda steps: steps.mean(), "clear"),
        (lambda steps: steps.sum() / BATCH, "clear"),
        (lambda steps: steps.sum(1).mean(), "clear"),
    ],
)
def test_a_cost_that_grows_with_the_batch(traced, cost, status):
    assert judged("act-ponder-scale-batch", traced(expected_steps, cost)).status == status


def gated_state(self, x):
    self.halt.bias.data.fill_(9.0)
    state = self.read(x)
    for _ in range(STEPS):
        gate = torch.sigmoid(self.halt(state))
        state = gate * torch.tanh(self.cell(state)) + (1 - gate) * state
    return self.out(state)


def halts_at_once(self, x):
    self.halt.bias.data.fill_(9.0)
    state, left, mixture = self.read(x), torch.ones(BATCH, 1), 0.0
    for _ in range(STEPS):
        state = torch.tanh(self.cell(state))
        p = torch.sigmoid(self.halt(state))
        mixture, left = mixture + left * p * state, left * (1 - p)
    return self.out(mixture)


@pytest.mark.parametrize(("step", "found"), [(gated_state, False), (halts_at_once, True), (expected_steps, False)])
def test_a_soft_halting_that_is_spent_at_the_first_step(traced, step, found):
    case = traced(step)
    late = Case.of(trace=[row | {"w": 200} for row in case.trace])
    assert (judged("act-halt-collapse-min", late).status == "fired") is found


def test_a_mean_of_what_a_sigmoid_gives_out_is_kept(traced):
    means = [node["mean"] for node in traced(expected_steps).trace if node.get("op") == "sigmoid"]
    assert len(means) == STEPS and all(0 < mean < 1 for mean in means)
    assert isinstance(means[0], float) and not isinstance(means[0], Tensor)

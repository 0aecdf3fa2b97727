"""Missing activations and what only looks like it; layers that are one; checkpoints that cut; networks that are too narrow."""

from __future__ import annotations

from copy import deepcopy

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules import Severity
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}


def judged(name, **parts):
    return run_rule(RULES[name], Case.of(**parts))


class Trace:
    """A trace, written operation by operation."""

    def __init__(self):
        self.rows = []

    def op(self, name, *sources, shape=(32, 16), p=(), x=(), shapes=None, **more):
        shapes = shapes or [self.rows[i]["shape"] for i in sources] or [list(shape)]
        row = {"w": 1, "i": len(self.rows), "op": name, "in": list(sources), "shapes": shapes, "shape": list(shape), "g": True}
        self.rows.append(row | {"ig": True, "p": list(p), "x": list(x), "a": {}} | more)
        return row["i"]

    def layer(self, name, source=None, given=16, made=16, **more):
        sources = () if source is None else (source,)
        shapes = [[32, given], [made, given]]
        x = ["input0"] if source is None else []
        return self.op(
            "linear", *sources, shape=(32, made), p=[f"{name}.weight", f"{name}.bias"], x=x, shapes=shapes, m=name, **more
        )

    def done(self):
        return [*self.rows, {"w": 1, "root": len(self.rows) - 1}]


def chain(*steps):
    """A network as a row: a pair is a layer of that size, a word an operation."""
    trace, last, given = Trace(), None, 12
    for place, step in enumerate(steps):
        if isinstance(step, int):
            last, given = trace.layer(f"net.{place}", last, given, step), step
        else:
            last = trace.op(step, last, shape=(32, given))
    trace.op("mse_loss", last, shape=())
    return trace.done()


def fired(trace):
    return [f.severity for f in judged("model-missing-nonlinearity", trace=trace).findings]


@pytest.mark.parametrize(
    "steps",
    [(64, 64, 3), (64, "dropout", 64, "dropout", 3), (64, "batch_norm", 3), (64, "view", 64, "flatten", 1)],
)
def test_a_network_without_any_activation_is_an_error(steps):
    assert fired(chain(*steps)) == [Severity.ERROR]


@pytest.mark.parametrize(
    "steps",
    [
        (3,),  # logistic regression
        (64, "relu", 64, "tanh", 3),
        (64, "gelu", "dropout", 3),
        (4, 12),  # a linear autoencoder: rank four is its point
        (64, "relu", 6, 64, "relu", 40),  # encoder, code, decoder
        (64, "layer_norm", 64, "softmax", 3),
        (64, "some_function_of_the_user", 64, "relu", 3),
    ],
)
def test_activations_and_bottlenecks_are_clear(steps):
    assert fired(chain(*steps)) == []


def test_one_forgotten_activation_in_a_row_of_layers_is_a_warning():
    assert fired(chain(64, "relu", 64, 64, "relu", 3)) == [Severity.WARNING]


def test_an_encoder_that_ends_in_a_projection_may_have_a_linear_head():
    trace = Trace()
    hidden = trace.op("relu", trace.layer("encoder.body", made=64), shape=(32, 64))
    trace.layer("head", trace.layer("encoder.project", hidden, 64, 32), 32, 10)
    assert fired(trace.done()) == []


def test_queries_keys_and_values_of_a_projection_are_no_row():
    trace = Trace()
    project = trace.layer("project")
    q, k, v = (trace.layer(f"attention.w{n}", project) for n in range(3))
    mixed = trace.op("scaled_dot_product_attention", q, k, v)
    trace.layer("head", trace.op("add", trace.layer("attention.out", mixed), project))
    assert fired(trace.done()) == []


def test_halves_of_a_separable_convolution_are_one():
    trace = Trace()
    wide = [[8, 16, 9, 9], [16, 1, 3, 3]]
    depth = trace.op("conv2d", shape=(8, 16, 9, 9), p=["block.conv1.weight"], x=["input0"], shapes=wide)
    point = trace.op("conv2d", depth, shape=(8, 32, 9, 9), p=["block.conv2.weight"], shapes=[[8, 16, 9, 9], [32, 16, 1, 1]])
    trace.op("relu", point, shape=(8, 32, 9, 9))
    assert fired(trace.done()) == []


def test_low_rank_adapters_are_no_missing_activation():
    trace = Trace()
    base = trace.layer("base", made=16)
    down = trace.layer("lora_1", None, 16, 4)
    up = trace.layer("lora_2", down, 4, 16)
    trace.op("relu", trace.op("add", base, up))
    assert fired(trace.done()) == []


def sharing(source, uses):
    rows = [
        {
            "w": 1,
            "i": i,
            "op": "linear",
            "p": ["layers.0.weight"],
            "in": [i - 1] if i else [],
            "shapes": [[8, 4]],
            "shape": [8, 4],
        }
        for i in range(uses)
    ]
    model = {"roots": [{"cls": "Net", "modules": [{"name": "layers", "cls": "ModuleList"}], "parameters": []}]}
    return judged(
        "model-accidental-sharing", trace=[*rows, {"w": 1, "root": uses - 1}], model=model, source={"m.py": source}
    ).status


def test_a_multiplied_list_is_a_fault_and_a_shared_block_is_none():
    assert sharing("self.layers = nn.ModuleList([Block(d)] * 4)", 4) == "fired"
    assert sharing("blocks = 3 * [Block(d)]\nself.layers = nn.Sequential(*blocks)", 3) == "fired"
    assert sharing("self.layers = nn.ModuleList([Block(d)])\nfor _ in range(4):\n    h = self.layers[0](h)", 4) == "clear"
    assert sharing("sizes = [16] * 4\nself.layers = nn.ModuleList([Block(d) for d in sizes])", 1) == "clear"


def checkpoint(source, grad="none", warned=True, cut=True):
    row = {"requires_grad": True, "shape": [4, 16], "optimizer": "optimizer#0", "windows": 9}
    rows = [row | {"name": "blocks.0.lora_A", "grad": grad}, row | {"name": "head.weight", "grad": "present"}]
    text = "None of the inputs have requires_grad=True. Gradients will be None"
    events = [{"kind": "warning", "step": 0, "n": 1, "text": text}] if warned else []
    trace = Trace()
    first = trace.op("linear", p=["blocks.0.lora_A"], g=not cut, site={"file": "t.py", "line": 3})
    trace.op("linear", first, p=["head.weight"])
    model = {"roots": [{"cls": "Net", "parameters": rows}]}
    return judged("grad-checkpoint-cuts-graph", model=model, events=events, source={"t.py": source}, trace=trace.done())


@pytest.mark.parametrize(
    "source",
    [
        "h = checkpoint(block, h)",
        "h = torch.utils.checkpoint.checkpoint(block, h, use_reentrant=True)",
        "model.gradient_checkpointing_enable()",
        "args = TrainingArguments('out', gradient_checkpointing=True)",
    ],
)
def test_a_reentrant_checkpoint_over_frozen_inputs_is_the_cause(source):
    outcome = checkpoint(source)
    assert outcome.status == "fired" and outcome.findings[0].location.line == 1
    assert checkpoint(source, warned=False).status == "fired"  # warnings may be silenced; the trace shows the cut


@pytest.mark.parametrize(
    ("source", "facts"),
    [
        ("h = checkpoint(block, h)", {"grad": "present", "warned": False, "cut": False}),
        ("h = checkpoint(block, h, use_reentrant=False)", {}),
        ("model.gradient_checkpointing_enable({'use_reentrant': False})", {}),
        ("with torch.no_grad():\n    h = block(h)", {"warned": False}),
        ("h = checkpoint(block, h)", {"warned": False, "cut": False}),
    ],
)
def test_other_checkpoints_and_other_cuts_are_not(source, facts):
    assert checkpoint(source, **facts).status == "clear"


NARROW = RULES["model-capacity-too-small"]


def narrowed(**changes):
    parts = deepcopy(NARROW.fires.parts)
    result = parts["probes"][0]["result"]
    for key, value in changes.items():
        if key in result:
            result[key] = value
        else:
            parts[key] = value
    return run_rule(NARROW, Case.of(**parts)).status


def test_too_little_capacity_and_what_is_not():
    assert narrowed() == "fired"
    assert narrowed(narrow={"body.0.weight": 6}) == "clear"
    assert narrowed(wide={"first": 2.0, "last": 1.5, "steps": 200}) == "clear"  # nobody can learn these labels
    assert narrowed(metrics=[{"step": s, "loss": 2.0 / (1 + s)} for s in range(50)]) == "clear"
    assert narrowed(model={"first": 2.0, "last": 1.9, "steps": 9}) == "skipped"


def test_a_gate_of_one_unit_beside_the_main_path_holds_nothing_back():
    trace = Trace()
    hidden = trace.layer("main", made=64)
    gate = trace.op("sigmoid", trace.layer("body.0", made=1), shape=(32, 1))
    trace.op("mse_loss", trace.op("mul", hidden, gate, shape=(32, 64)), shape=())
    assert narrowed(trace=trace.done(), narrow={"body.0.weight": 1}) == "clear"

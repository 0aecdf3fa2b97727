"""How weights begin: too wide, too narrow, never written, all alike; and the scales that only look wrong."""

from __future__ import annotations

import pytest

from cognate.case.case import Case
from cognate.diagnosis import diagnose
from cognate.discovery import all_rules, load_skills
from cognate.rules import Severity
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}


def judged(name, **parts):
    outcome = run_rule(RULES[name], Case.of(**parts))
    return outcome.findings[0] if outcome.findings else outcome.status


def weight(name, std, shape=(64, 64), **more):
    start = {"std": std, "mean": 0.0, "most": 3 * std}
    row = {"name": name, "shape": list(shape), "requires_grad": True, "start": start, "windows": 9, "optimizer": "optimizer#0"}
    return row | {"grad": "present", "constant": False, "clones": False, "seen_at": 0} | more


def model(*rows, cls="Linear", loaded=False):
    modules = [{"name": row["name"].rpartition(".")[0], "cls": row.get("cls", cls)} for row in rows]
    return {"roots": [{"cls": "Net", "modules": modules, "parameters": list(rows), "loaded": loaded}]}


def layers(*levels, cls="Linear"):
    names = [f"net.{place}" for place in range(len(levels))]
    return [{"step": 0, "activation": {n: {"cls": cls, "std": level} for n, level in zip(names, levels, strict=True)}}]


def started(std, levels, **more):
    rows = [weight(f"net.{place}.weight", std) for place in range(3)]
    return judged("model-init-variance", model=model(*rows, **more), layers=layers(*levels))


def test_too_wide_and_too_narrow():
    wide = started(1.0, (3.0, 13.0, 90.0))
    assert "explodes" in wide.title and wide.onset_step == 0
    assert "explodes" in started(1.0, (9.0, 8.0, 8.5)).title  # normalised in between, and still each output is huge
    assert "vanishes" in started(0.001, (3e-3, 1e-5, 1e-6)).title


@pytest.mark.parametrize(
    ("std", "levels"),
    [
        (0.072, (0.6, 0.3, 0.2)),  # torch's own
        (0.177, (1.4, 1.4, 1.4)),  # He
        (0.02, (0.16, 0.16, 0.16)),  # GPT-2, normalised
        (1.0, (1.0, 1.0, 1.1)),  # scaled in the forward (NTK, equalised rates)
        (0.072, (40.0, 20.0, 15.0)),  # large inputs
        (0.005, (0.5, 0.4, 0.5)),  # narrow, but the signal goes on
    ],
)
def test_scales_in_use_are_clear(std, levels):
    assert started(std, levels) == "clear"


def test_loaded_weights_and_tables_are_not_judged():
    assert started(1.0, (3.0, 13.0, 90.0), loaded=True) == "skipped"
    assert started(1.0, (3.0, 13.0, 90.0), cls="Embedding") == "skipped"


def test_the_traced_operations_tell_where_no_module_does():
    rows = [weight(f"net.{place}.weight", 1.0) for place in range(2)]
    trace = [
        {"w": 1, "i": i, "op": "linear", "in": [], "p": [row["name"]], "std": level, "shapes": [[8, 64]], "shape": [8, 64]}
        for i, (row, level) in enumerate(zip(rows, (8.0, 64.0), strict=True))
    ]
    assert "explodes" in judged("model-init-variance", model=model(*rows), trace=[*trace, {"w": 1, "root": 1}]).title


def activations(pinned, cls="Tanh", last=False, step=0):
    squash = {"cls": cls, "saturated": pinned, "rows": 64, "units": 64, "std": 1.0}
    row = {"1": squash} if last else {"1": squash, "2": {"cls": "Linear", "std": 1.0}}
    return [{"step": step, "activation": row}]


def saturated(std, rows, **more):
    return judged("model-saturated-activation", model=model(weight("0.weight", std, (64, 16))), layers=rows, **more)


@pytest.mark.parametrize("cls", ["Tanh", "Sigmoid"])
def test_hidden_units_pinned_by_their_weights(cls):
    assert cls.lower() in saturated(5.0, activations(0.8, cls)).title


def test_saturation_with_other_reasons():
    assert saturated(0.25, activations(0.8)) == "clear"  # usual weights: the input is too large
    assert saturated(5.0, activations(0.8, last=True)) == "skipped"  # a confident output
    assert saturated(5.0, activations(0.8, step=40)) == "skipped"  # certain after training
    assert saturated(5.0, activations(0.1)) == "clear"


def test_functions_count_like_modules():
    tanh = {"w": 1, "i": 0, "op": "tanh", "in": [], "pinned": 0.9, "g": True, "m": "Net", "shapes": [], "shape": [64, 64]}
    out = {"w": 1, "i": 1, "op": "linear", "in": [0], "p": ["out.weight"], "g": True, "shapes": [[64, 64]], "shape": [64, 3]}
    rows = [{"step": 0, "activation": {}}]
    assert "Net" in saturated(5.0, rows, trace=[tanh, out, {"w": 1, "root": 1}]).title
    assert saturated(5.0, rows, trace=[tanh, {"w": 1, "root": 0}]) == "skipped"


def first_loss(value, losses=(), kind="logits", **more):
    result = {"value": value, "classes": 65, "expected": 4.174, "kind": kind}
    probe = {"probe": "first_loss", "status": "ok", "step": 1, "result": result}
    table = weight("embed.weight", 1.0, (65, 64), cls="Embedding")
    metrics = [{"step": step, "loss": loss} for step, loss in enumerate(losses)]
    return judged("model-init-loss-off", probes=[probe], model=model(table, **more), metrics=metrics)


def test_a_first_loss_that_is_far_off_is_as_bad_as_it_is_long():
    brief = first_loss(31.0, [31.0, *[3.0] * 99])
    long = first_loss(31.0, [31.0 - 0.2 * step for step in range(100)])
    assert (brief.severity, long.severity) == (Severity.WARNING, Severity.ERROR)
    assert "tied" in brief.title


@pytest.mark.parametrize("value", [4.1, 4.6, 5.2, 2.0])
def test_first_losses_about_a_guess_are_clear(value):
    assert first_loss(value) == "clear"


def test_first_losses_that_say_nothing():
    assert first_loss(31.0, loaded=True) == "skipped"
    assert first_loss(None) == "skipped"
    assert first_loss(31.0, kind="probabilities") == "clear"


def zero(name, shape, **more):
    return weight(name, 0.0, shape, grad="zero", constant=True, clones=True, **more)


FROZEN = weight("base.weight", 0.1, requires_grad=False, optimizer=None)


def skipped(*rows, source="", cls="Lora"):
    return judged("model-missing-or-skipped-init", model=model(*rows, cls=cls), source={"m.py": source})


def test_two_zero_factors_never_move():
    found = skipped(FROZEN, zero("x.lora_A", (4, 64)), zero("x.lora_B", (64, 4)), source="nn.init.zeros_(self.lora_A)")
    assert "zeros" in found.title and found.location.line == 1


def test_one_zero_factor_is_how_adapters_begin():
    moved = weight("x.lora_B", 0.0, (64, 4))
    assert skipped(FROZEN, weight("x.lora_A", 0.1, (4, 64)), moved) == "clear"
    assert skipped(FROZEN, weight("x.lora_A", 0.1, (4, 64), grad="zero"), zero("x.lora_B", (64, 4))) == "clear"


def test_plain_layers_at_zero_are_a_constant_initialisation_which_is_another_rule():
    rows = [zero(f"net.{place}.weight", (64, 64)) for place in range(3)]
    assert skipped(*rows, cls="Linear") == "clear"
    assert "symmetric" in judged("model-symmetric-init", model=model(*rows, weight("out.weight", 0.1))).title


RAW = "class Mix(nn.Module):\n    def __init__(self, i, o):\n        self.weight = nn.Parameter(torch.empty(o, i))\n"


def test_memory_that_nobody_wrote():
    found = skipped(
        weight("mix.weight", 1e30), source=f"{RAW}    def reset_parameters(self):\n        init.normal_(self.weight)\n"
    )
    assert "reset_parameters at m.py:4 is never called" in found.title and found.location.line == 3
    assert "all zero" in skipped(weight("mix.weight", 0.0, clones=True), source=RAW).title


@pytest.mark.parametrize(
    ("row", "source"),
    [
        (weight("mix.weight", 0.1), f"{RAW}        nn.init.normal_(self.weight)\n"),
        (weight("mix.weight", 0.0, constant=True), f"{RAW}        nn.init.zeros_(self.weight)\n"),
        (weight("mix.weight", 0.0), RAW),  # zeros that parted: no harm was done
        (weight("mix.weight", 1e30), RAW.replace("empty", "randn")),
    ],
)
def test_parameters_that_were_written(row, source):
    assert skipped(row, source=source) == "clear"


def alike(std, value=0.02):
    start = {"std": std, "mean": value, "most": value}
    rows = [weight(f"net.{place}.weight", 0.1) | {"start": start} for place in range(3)]
    return judged("model-symmetric-init", model=model(*rows), source={"t.py": "torch.nn.init.constant_(p, 0.02)"})


def test_networks_that_began_all_alike_are_symmetric_though_random_biases_part_them():
    assert "began with identical weights" in alike(1.9e-9).title
    assert alike(0.01) == "clear"


def test_functional_relus_that_give_out_one_number_are_dead():
    def silent(std, rows=64):
        conv = {"op": "conv2d", "in": [], "p": ["c1.weight", "c1.bias"], "shapes": [[rows, 1, 9, 9]]}
        relu = {"op": "relu", "in": [0], "std": std, "shapes": [[rows, 12, 7, 7]]}
        trace = [
            row | {"w": w, "i": i, "shape": [rows, 12, 7, 7], "g": True} for w in (1, 40) for i, row in enumerate((conv, relu))
        ]
        roots = [{"w": w, "root": 1} for w in (1, 40)]
        return judged("model-dead-relu", layers=[{"step": 1, "activation": {}}], trace=[*trace, *roots])

    assert "behind c1" in silent(0.0).title and silent(0.0).location.module == "c1"
    assert silent(0.1) == silent(0.0, rows=4) == "skipped"


def test_functional_relus_that_died_in_training_did_not_begin_dead():
    relu = {"op": "relu", "in": [], "shapes": [[64, 12]], "shape": [64, 12], "g": True, "i": 0, "m": "net"}
    trace = [relu | {"w": w, "std": std} for w, std in ((1, 0.3), (40, 0.2), (160, 0.0), (400, 0.0))]
    found = judged(
        "model-dead-relu",
        layers=[{"step": 1, "activation": {"l1": {"cls": "Linear", "std": 1.0}}}],
        trace=[*trace, *({"w": w, "root": 0} for w in (1, 40, 160, 400))],
    )

    assert found.onset_step == 160 and "after training began" in found.title


def roots(*rules, **parts):
    """Names of the root causes of a case that has what makes each of `rules` fire."""
    merged = {}
    for name in rules:
        merged |= RULES[name].fires.case._parts
    found = diagnose(Case.of(**(merged | parts)), load_skills())
    return [item.name for item in found.root_causes if item.name in rules]


def test_units_that_an_unclipped_step_killed_are_no_root_cause():
    relu = {"cls": "ReLU", "rows": 64, "units": 128, "zero": 0.1, "mean_abs": 0.1, "std": 0.1}
    died, born = (
        [{"step": s, "activation": {"1": relu | {"dead": d}}} for s, d in ((0, first), (4, 1.0), (8, 1.0))]
        for first in (0.1, 1.0)
    )

    assert roots("grad-clip-ineffective", "model-dead-relu", layers=died) == ["grad-clip-ineffective"]
    assert set(roots("grad-clip-ineffective", "model-dead-relu", layers=born)) == {"grad-clip-ineffective", "model-dead-relu"}


def test_weights_that_begin_wide_are_no_consequence_of_the_learning_rate():
    assert roots("opt-lr-too-high", "model-saturated-activation") == ["model-saturated-activation"]

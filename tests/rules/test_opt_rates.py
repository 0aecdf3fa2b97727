"""Learning rates, clips, spikes, decay and freezes: the evidence that tells a fault from its healthy look-alike."""

from __future__ import annotations

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}


def status(name, **parts):
    return run_rule(RULES[name], Case.of(**parts)).status


def falling(first, share, steps=120):
    return [first * (1 - share * i / steps) for i in range(steps)]


def rows(losses, ratio, lr=1e-3, **more):
    more |= {"lr": lr, "update_ratio": ratio, "grad_norm": 1.0}
    return [{"step": i, "loss": v, **({} if v else {"nonfinite": {"loss": "nan"}}), **more} for i, v in enumerate(losses)]


def arms(step=2, lr=1e-3, **ends):
    """A learning-rate experiment whose arms go from 2.0 to `ends`, by x1, x10 and so on."""
    factors = {"x0_1": "0.1", "x1": "1", "x10": "10", "x100": "100"}
    losses = {factors[k]: [2.0] * 8 + [end] * 5 for k, end in ends.items()}
    result = {"losses": losses, "lr": lr, "optimizer": "SGD", "steps": 12, "first": 2.0}
    return {"probe": "lr_range", "status": "ok", "step": step, "result": result}


NOISY = [2.0 if i % 4 != 1 else 5.0 for i in range(120)]


@pytest.mark.parametrize(
    ("losses", "probe", "wanted"),
    [
        (NOISY, arms(x0_1=0.8, x1=2.6), "fired"),  # unstable in the run and on one batch without noise
        (NOISY, arms(x0_1=0.8, x1=1.2), "clear"),  # noisy data: on one batch the rate itself descends
        (falling(2.0, 0.9), arms(x0_1=0.8, x1=2.6), "clear"),  # the run is fine whatever one batch says
        ([2.0, None, None, *[None] * 20], arms(x0_1=0.8, x1=2.6), "fired"),
    ],
)
def test_a_rate_that_is_too_high(losses, probe, wanted):
    assert status("opt-lr-too-high", metrics=rows(losses, 0.02), probes=[probe]) == wanted


def test_a_first_step_that_throws_the_weights_away():
    thrown = [2.9, 6.0, 9.0, 7.0, *falling(2.7, 0.1)]
    metrics = [{**row, "update_ratio": 2.0 if row["step"] < 4 else 0.02} for row in rows(thrown, 0.02)]
    assert status("opt-lr-too-high", metrics=metrics) == "fired"
    mended = [2.9, 6.0, 9.0, 7.0, *falling(2.7, 0.9)]
    metrics = [{**row, "update_ratio": 2.0 if row["step"] < 4 else 0.02} for row in rows(mended, 0.02)]
    assert status("opt-lr-too-high", metrics=metrics) == "clear"


def stages(second, ratio, probes=()):
    """A run that trains well with one optimizer, and goes on with another whose losses are `second`."""
    one = rows(falling(2.0, 0.8), 1e-2, optimizer="optimizer#0")
    two = [{**r, "step": r["step"] + 120} for r in rows(second, ratio, lr=1e-6, optimizer="optimizer#1")]
    return {"metrics": one + two, "probes": list(probes)}


def test_each_optimizer_is_judged_by_its_own_steps():
    flat, slower = falling(0.7, 0.005), falling(0.7, 0.5)
    assert status("opt-lr-too-low", **stages(flat, 1e-6)) == "fired"
    assert status("opt-lr-too-low", **stages(slower, 1e-4)) == "clear"
    # What a multiple of the rate does to the same batch is asked first.
    assert status("opt-lr-too-low", **stages(flat, 1e-6, [arms(200, 1e-6, x1=1.999, x10=1.98, x100=1.7)])) == "fired"
    assert status("opt-lr-too-low", **stages(flat, 1e-6, [arms(200, 1e-6, x1=1.999, x10=1.999, x100=1.99)])) == "clear"


@pytest.mark.parametrize(
    ("norm", "ratio", "share", "more", "wanted"),
    [
        (5.0, 1e-5, 0.01, {}, "fired"),
        (5.0, 1e-2, 0.01, {}, "clear"),  # Adam: the weights move all the same
        (5.0, 1e-5, 0.6, {}, "clear"),  # the loss falls
        (0.02, 1e-5, 0.01, {}, "clear"),  # twice the limit: a limit
        (5.0, 1e-5, 0.01, {"clip_value": True}, "skipped"),  # each element, not the norm
    ],
)
def test_a_clip_that_sets_the_size_of_the_steps(norm, ratio, share, more, wanted):
    metrics = [{**row, "grad_norm": norm} for row in rows(falling(2.0, share), ratio, clip=0.01, **more)]
    assert status("grad-clip-dominant", metrics=metrics) == wanted


def spiky(harm, least=4, **more):
    level, losses = 2.0, []
    for i in range(150):
        spike = i in tuple(range(40, 140, 25))[:least]
        level = level * harm if spike else max(0.2, level * 0.985)
        losses.append(900.0 if spike else level)
    return rows(losses, 0.01, **more)


def test_spikes_that_do_harm():
    assert status("grad-spike", metrics=spiky(2.6)) == "fired"
    assert status("grad-spike", metrics=spiky(2.6, clip=1.0)) == "clear"
    assert status("grad-spike", metrics=spiky(1.0)) == "clear"  # a heavy tail that training shrugs off
    assert status("grad-spike", metrics=spiky(2.6, least=1)) == "clear"  # one that recovers
    assert status("grad-spike", metrics=rows([2.0, 30.0] * 75, 0.01)) == "clear"  # two kinds of batches by turns


def decayed(decay, left, loss_share, ratio=0.02, cls="SGD"):
    names = ("a.weight", "b.weight")
    model = {
        "roots": [{"parameters": [{"name": n, "shape": [9, 9], "optimizer": "optimizer#0", "group": 0} for n in names]}],
        "optimizers": [{"label": "optimizer#0", "cls": cls, "steps": 99, "groups": [{"weight_decay": decay}]}],
    }
    layers = [
        {"step": s, "param_norm": dict.fromkeys(names, 8.0 * left ** (s / 64)), "grad_norm": dict.fromkeys(names, 0.1)}
        for s in (0, 4, 16, 64)
    ]
    return {"model": model, "layers": layers, "metrics": rows(falling(2.3, loss_share), ratio, lr=0.1)}


def test_decay_that_outweighs_the_data():
    assert status("opt-overregularised", **decayed(1.0, 0.1, 0.0)) == "fired"
    assert status("opt-overregularised", **decayed(1.0, 0.1, 0.6)) == "clear"  # the loss falls: a choice
    assert status("opt-overregularised", **decayed(1e-3, 0.1, 0.0)) == "clear"  # the data pulls harder
    assert status("opt-overregularised", **decayed(0.15, 0.1, 0.0, ratio=0.02, cls="AdamW")) == "fired"
    assert status("opt-overregularised", **decayed(0.01, 0.1, 0.0, ratio=0.02, cls="AdamW")) == "clear"


def frozen(text, **more):
    row = {"shape": [8, 8], "requires_grad": True, "moved": True, "optimizer": "optimizer#0", **more}
    names = [{"name": n, "cls": "Linear"} for n in ("body", "head")]
    root = {"cls": "Net", "parameters": [row | {"name": f"{n}.weight"} for n in ("body", "head")], "modules": names}
    return {"model": {"roots": [root]}, "source": {"t.py": text}}


LOOP = "for p in model.body.parameters():\n    p.requires_grad = {}\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("self.body.requires_grad = False\n", "fired"),
        (LOOP.format(False) + "model.body = make()\n", "fired"),
        ("model.body.requires_grad_(False)\n", "fired"),
        ("if args.freeze:\n    model.body.requires_grad_(False)\n", "clear"),
        ("def freeze():\n    model.body.requires_grad_(False)\nif args.freeze:\n    freeze()\n", "clear"),
        (LOOP.format(False) + "for epoch in x:\n    model.body.requires_grad_(epoch > 3)\n", "clear"),  # thawed later
        ("teacher.requires_grad_(False)\n", "clear"),
    ],
)
def test_a_freeze_that_is_not_applied(text, wanted):
    assert status("grad-freeze-not-applied", **frozen(text)) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("for p in m.parameters():\n    p.requires_gradient = False\n", "fired"),
        ("for n, p in m.named_parameters():\n    p.requires_grad == False\n", "fired"),
        ("m.head.weight.require_grad = True\n", "fired"),
        ("self.requires_grads = True\n", "clear"),  # an attribute of one's own
        ("for p in m.parameters():\n    p.grad = None\n    p.is_expert = True\n", "clear"),
        ("assert p.requires_grad == False\n", "clear"),
    ],
)
def test_a_misspelt_freeze(text, wanted):
    assert status("grad-requires-grad-typo", source={"t.py": text}) == wanted


def adam(eps=1e-8, betas=(0.9, 0.999), dtype="float32", share=0.0):
    row = {"name": "w", "dtype": dtype, "requires_grad": True, "optimizer": "optimizer#0", "numel": 10_000}
    groups = [{"eps": eps, "betas": list(betas)}]
    model = {
        "roots": [{"parameters": [row]}],
        "optimizers": [{"label": "optimizer#0", "cls": "AdamW", "steps": 9, "groups": groups}],
    }
    layers = [{"step": s, "grad_norm": {"w": 1.0}} for s in (1, 2, 4)]
    return {"model": model, "layers": layers, "metrics": rows(falling(2.3, share), 1e-4)}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"betas": (0.999, 0.9)}, "fired"),
        ({"betas": (0.0, 0.9)}, "clear"),  # a GAN's
        ({"eps": 1.0}, "fired"),
        ({"eps": 1.0, "share": 0.5}, "clear"),  # it learns
        ({"eps": 1e-5}, "clear"),
        ({"eps": 1e-8, "dtype": "float16"}, "fired"),
        ({"eps": 1e-8, "dtype": "bfloat16"}, "clear"),
    ],
)
def test_constants_of_adam(options, wanted):
    assert status("opt-adam-hparams", **adam(**options)) == wanted


def test_recurrent_explosions_are_told_from_high_rates():
    net = {"roots": [{"modules": [{"name": "rnn", "cls": "GRU"}], "parameters": []}]}
    layers = [{"step": 0, "param_norm": {"rnn.weight": 7.0}}]

    def run(norms, ratios, **more):
        metrics = [
            {"step": i, "loss": 240.0 if i < 2 else None, "grad_norm": n, "update_ratio": r, "lr": 5e-3, **more}
            for i, (n, r) in enumerate(zip(norms, ratios, strict=True))
        ]
        return {"metrics": metrics + [{"step": i, "loss": None} for i in range(len(norms), 30)], "model": net, "layers": layers}

    steep = run([7000.0, 9e4], [4.4, 9.0])
    assert status("grad-exploding", **steep) == "fired"
    leapt = run([5.0, 9.0, 80.0], [0.01, 0.08, 0.5])
    assert status("grad-exploding", **leapt) == "fired"
    high = run([40.0, 90.0, 800.0], [0.45, 4.7, 56.0])  # the first step is large, and its gradient is not
    assert status("grad-exploding", **high) != "fired"
    assert status("grad-exploding", **run([7000.0, 9e4], [4.4, 9.0], clip=1.0)) != "fired"


def test_warm_up_that_is_missing():
    def run(losses, cls="AdamW", ratio=0.4):
        net = {"modules": [{"name": "attn", "cls": "MultiheadAttention"}], "parameters": []}
        model = {"roots": [net], "optimizers": [{"label": "optimizer#0", "cls": cls, "steps": 120, "groups": []}]}
        return {"model": model, "metrics": rows(losses, ratio)}

    leap = [2.0, *[6.0] * 30, *falling(1.8, 0.8)]
    assert status("opt-warmup-missing-or-long", **run(leap)) == "fired"
    assert status("opt-warmup-missing-or-long", **run(falling(2.0, 0.8))) == "clear"
    assert status("opt-warmup-missing-or-long", **run(leap, cls="SGD")) == "clear"
    assert status("opt-warmup-missing-or-long", **run([2.0, 6.0, 6.0, *falling(1.8, 0.8)])) == "clear"  # mended at once

"""Weights start at a scale that makes the signal explode or vanish."""

from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import flows
from cognate.rules.layers import WEIGHTED, first_activations, initialised_at, is_layer, weights_at_start
from cognate.rules.training import number, short


def _case(std: float) -> dict:
    names = ["net.0", "net.2", "net.4"]
    rows = [{"name": f"{n}.weight", "shape": [64, 64], "requires_grad": True, "start": {"std": std, "mean": 0.0}} for n in names]
    signal = {n: {"cls": "Linear", "std": (8 * std) ** (place + 1)} for place, n in enumerate(names)}
    model = {"roots": [{"cls": "Net", "modules": [{"name": n, "cls": "Linear"} for n in names], "parameters": rows}]}
    return {"model": model, "layers": [{"step": 0, "activation": signal}]}


@rule(
    code="MODEL123",
    name="model-init-variance",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"model"},
    explains={
        "loss-not-decreasing", "loss-diverging", "loss-nonfinite", "loss-plateau", "loss-oscillating", "grad-exploding",
        "grad-vanishing", "model-init-loss-off", "model-dead-relu", "opt-lr-too-high", "opt-lr-too-low",
        "data-input-label-misaligned",
    },
    sources={
        "high": "twice He's 1.41 √(1/fan-in), and more (He et al. 2015): the largest in use for hidden layers",
        "low": "our calibration: torch's own initialisation of linear layers has 0.58, GPT-2's 0.02 at 64 features 0.16",
        "growth": "SageMaker Debugger: a ratio of variances above 10; here of standard deviations, which spares residual sums",
        "wide": "TheDeepChecker asks for activations between 0.5 and 2; four times that, as inputs and residual streams vary",
    },
    fires=Example(**_case(1.0)),
    quiet=Example(**_case(0.1)),
)  # fmt: skip
def model_init_variance(
    case: Case, *, high: float = 3.0, low: float = 0.1, growth: float = 10.0, wide: float = 8.0
) -> Iterator[Said]:
    """Wrong initial variance: most weights start several times too wide or too narrow for their number of inputs.

    Each layer multiplies the signal by about standard deviation × √fan-in. Far above one, activations and gradients explode with
    depth and training begins with a huge loss; far below, the output hardly depends on the input and gradients vanish. Judged by
    the weights and by the signal that was measured behind the layers: a normalised or rescaled network carries any scale.
    """
    gains = [(p["name"], gain) for p, gain in weights_at_start(case)]
    signal = _signal(case)
    if len(gains) < 2 or len(signal) < 2:
        yield Skip("fewer than two randomly initialised layers were followed", "")
        return
    levels = [std for _, std in signal]
    ratio = levels[-1] / levels[0] if levels[0] > 0 else 1.0
    large, small = [g for g in gains if g[1] > high], [g for g in gains if g[1] < low]
    exploded = 2 * len(large) > len(gains) and (ratio >= growth or median(levels) >= wide)
    hidden = levels[:-1] if len(levels) > 2 else levels
    vanished = 2 * len(small) > len(gains) and min(hidden[-1] / hidden[0] if hidden[0] > 0 else 0.0, ratio) <= 1 / growth
    if not (exploded or vanished):
        yield Clear(
            f"{len(gains)} layers start {number(min(g for _, g in gains))} to {number(max(g for _, g in gains))} / √fan-in wide, "
            f"the signal behind them has standard deviations of {number(min(levels))} to {number(max(levels))}"
        )
        return
    guilty = large if exploded else small
    typical = median(g for _, g in guilty)
    verb = "explodes" if exploded else "vanishes"
    yield Finding(
        title=f"the initial weights are too {'wide' if exploded else 'narrow'}: {short([n for n, _ in guilty])} start "
        f"{typical:.2g}/√fan-in wide (He: 1.41), and the signal {verb} from a standard deviation of {number(levels[0])} behind "
        f"{signal[0][0]} to {number(levels[-1])} behind {signal[-1][0]}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("standard deviation × √fan-in, median", round(typical, 4), f"{low} … {high}", "model.json"),
            Evidence("layers concerned", f"{len(guilty)} of {len(gains)}"),
            Evidence("standard deviation behind the layers, in order", [float(f"{v:.3g}") for v in levels[:12]], "about 1"),
        ),
        location=Location.of(
            initialised_at(case),
            guilty[0][0].rpartition(".")[0],
        ),
        onset_step=0,
        fix=Fix(
            "Initialise by fan-in (nn.init.kaiming_normal_, xavier_uniform_, or leave torch's default), and scale residual "
            "outputs by 1/√depth."
        ),
    )


def _signal(case: Case) -> list[tuple[str, float]]:
    """Standard deviations behind the layers in order of execution: of modules in the first step, else of traced operations."""
    found = [
        (name, float(record["std"]))
        for name, record in first_activations(case).items()
        if str(record.get("cls", "")).startswith(WEIGHTED) and record.get("std") is not None
    ]
    if len(found) >= 2:
        return found
    return [
        (str(node["p"][0]), float(node["std"]))
        for graph in flows(case)[:1]
        for node in graph.nodes
        if is_layer(node) and node.get("std") is not None
    ]

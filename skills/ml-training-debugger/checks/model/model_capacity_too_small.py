"""The model is too narrow for its task."""

import ast
from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import flows
from cognate.rules.source import calls
from cognate.rules.training import number, short


def _case(last: float, end: float) -> dict:
    result = {
        "narrow": {"body.0.weight": 2},
        "width": 64,
        "model": {"first": 2.0, "last": last, "steps": 200},
        "wide": {"first": 2.2, "last": 0.08, "steps": 70},
    }
    probe = {"probe": "wider_network", "status": "ok", "step": 40, "result": result}
    trace: list[dict] = [
        {
            "w": 1,
            "i": 0,
            "op": "linear",
            "in": [],
            "x": ["input0"],
            "p": ["body.0.weight"],
            "shapes": [[32, 24]],
            "shape": [32, 2],
        },
        {"w": 1, "i": 1, "op": "relu", "in": [0], "shapes": [[32, 2]], "shape": [32, 2]},
        {"w": 1, "root": 1},
    ]
    losses = [2.0 + (end - 2.0) * step / 60 for step in range(60)]
    return {"probes": [probe], "trace": trace, "metrics": [{"step": s, "loss": loss} for s, loss in enumerate(losses)]}


@rule(
    code="MODEL126",
    name="model-capacity-too-small",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"probe.wider_network", "trace", "metrics.loss"},
    explains={"loss-not-decreasing", "loss-plateau", "opt-lr-too-low", "data-input-label-misaligned"},
    sources={
        "stuck": "our calibration: 40 random labels of 2 to 10 classes leave 4 units less than a quarter, 2 units more",
        "learned": "TheDeepChecker: a sound network learns a batch by heart to a few per cent",
        "units": "our calibration, as for stuck: with more units, what is left may be the noise of the labels",
        "unsolved": "our calibration: a task whose loss has halved in training was not beyond the model",
    },
    fires=Example(**_case(1.7, 1.9)),
    quiet=Example(**_case(0.1, 0.4)),
)
def model_capacity_too_small(
    case: Case, *, stuck: float = 0.25, learned: float = 0.1, units: int = 3, unsolved: float = 0.5
) -> Iterator[Said]:
    """Too little capacity: the model cannot learn even one batch by heart, and a plain network of 64 hidden units can.

    A copy is trained on one batch with dropout off and a brisk Adam; what it cannot do there, no schedule and no more data will
    bring. Judged only where everything passes a hidden layer of very few units and where the output is not the input again: a
    gate of one unit beside the main path holds nothing back, and the bottleneck of an autoencoder is its point.
    """
    result = case.probe("wider_network")[-1]["result"]
    model, wide = result["model"], result["wide"]
    left = model["last"] / model["first"] if model["first"] > 0 else 0.0
    reference = wide["last"] / wide["first"] if wide["first"] > 0 else 1.0
    if model["steps"] < wide["steps"] and left >= stuck:
        yield Skip("the copy could not be trained as long as the wide network", "")
        return
    end = _end(case)
    if left < stuck or reference > learned or end < unsolved:
        yield Clear(
            f"trained on one batch, a copy keeps {left:.0%} of the loss, one of {result['width']} units {reference:.0%}; "
            f"the run ended at {end:.0%} of its first loss"
        )
        return
    narrow = {n: w for n, w in result["narrow"].items() if w <= units and _all_pass(case, n)}
    if not narrow:
        yield Clear(f"not everything passes a layer of {units} units or fewer, so its width is not what holds the model back")
        return
    name = min(narrow, key=lambda n: narrow[n])
    yield Finding(
        title=f"the model is too small: {short([f'{n} ({w} units)' for n, w in narrow.items()])} let too little through; a copy "
        f"cannot learn one batch by heart (loss {number(model['first'])} → {number(model['last'])}), a network of "
        f"{result['width']} hidden units can (→ {number(wide['last'])})",
        proof=Proof.EXPERIMENT,
        evidence=(
            Evidence("loss that is left on one batch, of this model", round(left, 3), f"< {stuck}", "probe wider_network"),
            Evidence(f"of a network with {result['width']} hidden units, equally long", round(reference, 3), f"≤ {learned}"),
            Evidence("loss at the end of the run, as a share of the first", round(end, 3), f"< {unsolved}", "metrics.jsonl"),
            Evidence("narrowest hidden layer", f"{name}: {narrow[name]} units"),
        ),
        location=Location.of(_place(case, narrow[name]), name.rpartition(".")[0] or None),
        onset_step=0,
        fix=Fix(f"Widen the hidden layers: {narrow[name]} units are too few, try 32 or more, until one batch can be overfitted."),
    )


def _end(case: Case) -> float:
    losses = [loss for row in case.metrics if (loss := row.get("loss")) is not None]
    tenth = max(1, len(losses) // 10)
    return median(losses[-tenth:]) / max(median(losses[:tenth]), 1e-12)


def _all_pass(case: Case, parameter: str) -> bool:
    """Whether no way leads from the input to the loss but through the layer of `parameter`."""
    for graph in flows(case)[:1]:
        layers = {node["i"] for node in graph.using(parameter)}
        waiting = [node["i"] for node in graph.nodes if node.get("x")]
        seen: set[int] = set()
        while waiting:
            index = waiting.pop()
            if index in seen or index in layers:
                continue
            if index == graph.root:
                return False
            seen.add(index)
            waiting.extend(graph.users.get(index, ()))
        return bool(layers)
    return False


def _place(case: Case, width: int) -> dict | None:
    """Where the width is written: in a setting by which a layer is built, in the layer, or where the first layer is made."""
    sized = [(file, node) for file, node, name in calls(case) if name in ("Linear", "LazyLinear")]
    names = {
        word for _, node in sized for part in ast.walk(node) for word in (getattr(part, "id", ""), getattr(part, "attr", ""))
    }
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and _is(node.value, width):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(getattr(t, "id", getattr(t, "attr", "")) in names for t in targets):
                    return {"file": file, "line": node.lineno}
            if isinstance(node, ast.keyword) and node.arg in names | {"default"} and _is(node.value, width):
                return {"file": file, "line": node.value.lineno}
    for file, node in sized:
        if any(_is(argument, width) for argument in node.args):
            return {"file": file, "line": node.lineno}
    return {"file": sized[0][0], "line": sized[0][1].lineno} if sized else None


def _is(node: ast.expr | None, width: int) -> bool:
    return isinstance(node, ast.Constant) and node.value == width and node.value is not True

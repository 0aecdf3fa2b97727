"""Most ReLU units never fire."""

from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import RESHAPES, flows
from cognate.rules.source import first_call


def _layers(dead: float) -> list[dict]:
    record = {"cls": "ReLU", "dead": dead, "rows": 64, "units": 128, "zero": dead, "mean_abs": 0.1, "std": 0.1}
    return [{"step": s, "activation": {"net.1": record}} for s in (1, 2, 4, 8, 16)]


@rule(
    code="MODEL105",
    name="model-dead-relu",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"layers"},
    explains={"loss-not-decreasing", "grad-vanishing", "opt-lr-too-low", "data-input-label-misaligned"},
    core=True,
    sources={
        "share": "SageMaker Debugger and AutoTrainer alarm at 50–70 % of a layer; 90 % over whole batches spares sparse "
        "healthy nets",
    },
    fires=Example(layers=_layers(0.97)),
    quiet=Example(layers=_layers(0.2)),
)
def model_dead_relu(case: Case, *, share: float = 0.9) -> Iterator[Said]:
    """Dead ReLU: nearly all units of a layer are zero for every sample of a batch, so no gradient passes through them.

    Counted by unit over whole batches, because a sparse activation is zero often but not always. Usual causes: a negative bias
    initialisation, a first step that was far too large, inputs of a large scale.
    """
    rows = case.layers[len(case.layers) // 2 :]
    seen: dict[str, list[float]] = {}
    for row in rows:
        for name, record in row.get("activation", {}).items():
            if record.get("cls") in ("ReLU", "ReLU6") and record.get("rows", 0) >= 16 and "dead" in record:
                seen.setdefault(name, []).append(record["dead"])
    silent = _silent_functions(case)
    seen.update({name: [1.0] for name in silent})
    if not seen:
        yield Skip("no ReLU was seen over a batch of 16 or more", "")
        return
    levels = {name: median(values) for name, values in seen.items()}
    dead = {name: level for name, level in levels.items() if level >= share}
    if not dead:
        worst = max(levels.values())
        yield Clear(f"at most {worst:.0%} of a ReLU layer's units are silent over a batch")
        return
    name = min(dead, key=lambda n: (-dead[n], n))
    first = next((r["activation"][name]["dead"] for r in case.layers if name in r.get("activation", {})), 0.0)
    early = [a.get("dead", 0.0) for a in case.layers[0].get("activation", {}).values() if a.get("cls") == "ReLU"]
    since = silent.get(name)
    born = (since is not None and since <= 1) or first >= share or (bool(early) and min(early) >= share)
    when = "from the first step on, so the initialisation is at fault" if born else "after training began"
    site = first_call(case, "constant_", "fill_", "normal_", "uniform_") if born else None
    yield Finding(
        title=f"dead ReLU units: {dead[name]:.0%} of the units of {name} never fire over whole batches ({when}), and no "
        f"gradient passes them",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence(f"silent units of {name}", round(dead[name], 4), f"< {share}", "layers.jsonl"),
            Evidence("layers above the bound", sorted(dead)),
        ),
        location=Location.of(site, name.removeprefix("the relu behind ")),
        onset_step=next(
            (int(r["step"]) for r in case.layers if r.get("activation", {}).get(name, {}).get("dead", 0.0) >= share), since or 0
        ),
        fix=Fix("Initialise by He with zero bias, lower the learning rate, normalise the input, or use LeakyReLU or GELU."),
    )


def _silent_functions(case: Case) -> dict[str, int]:
    """ReLUs applied as functions that gave out one number alone in the last traced window, and the window in which they began."""
    graphs = [(graph, {node["i"]: node for node in graph.nodes if node["op"] == "relu"}) for graph in flows(case)]
    found = {}
    for graph, relus in graphs[-1:]:
        for node in relus.values():
            if node.get("std") == 0 and len(node["shape"]) >= 2 and node["shape"][0] >= 16:
                before = graph.producer(node, RESHAPES)
                layer = (before or {}).get("p") or [str(node.get("m"))]
                silent = [int(early[node["i"]]["w"]) for _, early in graphs if early.get(node["i"], {}).get("std") == 0]
                found[f"the relu behind {layer[0].removesuffix('.weight')}"] = min(silent)
    return found

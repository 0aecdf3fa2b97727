"""Two layers with nothing non-linear between them."""

import re
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import Flow, Node, flows
from cognate.rules.layers import CONVOLUTIONS, SCALINGS, is_layer, next_layer, passes, sizes
from cognate.rules.source import first_call
from cognate.rules.training import short

SUMS = {"add", "__add__", "__radd__", "sub", "__sub__", "cat", "stack", "sum", "__iadd__", "add_"}
LOOKUPS = {"embedding", "embedding_bag", "one_hot"}
PARTS = {"getitem", "__getitem__", "chunk", "split", "unbind", "select", "narrow"}


def _trace(*between: str) -> list[dict]:
    rows: list[dict] = []
    for index in range(3):
        layer: dict = {"op": "linear", "p": [f"{2 * index}.weight"], "m": str(2 * index), "x": [] if index else ["x"]}
        extras: list[dict] = [layer, *({"op": op, "m": str(2 * index + 1)} for op in between if index < 2)]
        for extra in extras:
            before = [rows[-1]["i"]] if rows else []
            rows.append({"w": 1, "i": len(rows), "in": before, "shapes": [[32, 16]], "shape": [32, 16], "g": True} | extra)
    loss = {"w": 1, "i": len(rows), "op": "mse_loss", "in": [rows[-1]["i"]], "shapes": [[32, 16]], "shape": [], "g": True}
    return [*rows, loss, {"w": 1, "root": loss["i"]}]


@rule(
    code="MODEL121",
    name="model-missing-nonlinearity",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"trace"},
    explains={
        "loss-not-decreasing", "loss-plateau", "opt-lr-too-low", "data-input-label-misaligned", "model-init-variance",
        "grad-vanishing",
    },
    fires=Example(trace=_trace()),
    quiet=Example(trace=_trace("relu")),
)  # fmt: skip
def model_missing_nonlinearity(case: Case) -> Iterator[Said]:
    """No activation stands between layers: they compute what one linear layer computes, and the depth is worth nothing.

    Read off the traced operations. A product of two matrices is a fault only where the number of features between them is no
    smaller than at either end: a narrower one is a factorisation made on purpose (LoRA, a bottleneck, a linear autoencoder).
    Where the whole way from the input to the output is linear, the network is a linear regression; where only two neighbouring
    layers of a row are joined so, it is a warning.
    """
    graphs = flows(case)[:1]
    layers = [(graph, node) for graph in graphs for node in graph.nodes if is_layer(node) and node.get("g")]
    if not layers:
        yield Skip("no layer was traced between a forward and its backward", "")
        return
    pairs = [(graph, a, b) for graph, a in layers if (b := next_layer(graph, a)) and _idle(a, b)]
    whole = [pair for pair in pairs if _linear_before(*pair[::2]) and _last(pair[0], pair[2])]
    neighbours = [pair for pair in pairs if _neighbours(pair[1], pair[2])]
    if not whole and not neighbours:
        yield Clear(f"something non-linear or a bottleneck stands between the {len(layers)} traced layers")
        return
    graph, first, second = (whole or neighbours)[0]
    chain = [first, second]
    while (more := next_layer(graph, chain[-1])) and _idle(chain[-1], more):
        chain.append(more)
    names = [_name(node) for node in chain]
    width = sizes(first)[1]
    site = _place(case, chain)
    what = "the whole network is a linear function of its input" if whole else "together they are one linear layer"
    yield Finding(
        title=f"no activation between {short(names, 4)}: {what}, whatever the {width} features between them are",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("layers in a row without anything non-linear between them", names, "an activation after each"),
            Evidence("features: in, between, out", [sizes(first)[0], width, sizes(second)[1]]),
            Evidence("operations from input to output that are not linear", "none" if whole else "elsewhere"),
        ),
        location=Location.of(site, first.get("m")),
        onset_step=0,
        severity=Severity.ERROR if whole else Severity.WARNING,
        fix=Fix(f"Put an activation (ReLU, GELU, tanh) after {names[0]}, and after each hidden layer of the row."),
    )


def _name(node: Node) -> str:
    weight: str = node["p"][0]
    return weight.rpartition(".")[0] or weight


def _idle(first: Node, second: Node) -> bool:
    """Whether the pair can do no more than one layer, and was not made to do less."""
    if (first["op"] in CONVOLUTIONS) != (second["op"] in CONVOLUTIONS):
        return True  # features of a picture flattened: more of them than outputs
    if first["op"] in CONVOLUTIONS and (_grouped(first) or _grouped(second)):
        return False  # depth-wise and point-wise halves of one convolution
    (given, between), (_, out) = sizes(first), sizes(second)
    return between >= min(given, out) and between > 1


def _grouped(node: Node) -> bool:
    shapes = node["shapes"]
    return len(shapes) > 1 and len(shapes[0]) > 1 and len(shapes[1]) > 1 and shapes[0][1] != shapes[1][1]


def _linear_before(graph: Flow, node: Node) -> bool:
    """Whether everything before the layer `node` is linear, as far back as the trace goes."""
    for other in graph.upstream(node):
        if is_layer(other) or passes(other) or other["op"] in PARTS or other["op"] in LOOKUPS:
            continue
        if other["op"] in SCALINGS and not other.get("g"):  # the input is centred and scaled
            continue
        if other["op"] in SUMS and len(other.get("in", ())) + len(other.get("p", ())) + len(other.get("x", ())) >= 2:
            continue
        return False
    return True


def _last(graph: Flow, node: Node) -> bool:
    """Whether nothing learned comes after `node` but what is linear, too."""
    later = [other for other in graph.downstream(node) if other is not node and other.get("p")]
    return all(passes(other) or (is_layer(other) and _linear_before(graph, other)) for other in later)


def _neighbours(first: Node, second: Node) -> bool:
    """Members of one row: 3 and 4 of a Sequential, fc1 and fc2 of a module."""
    (home, _, name), (other_home, _, other) = _name(first).rpartition("."), _name(second).rpartition(".")
    return (
        home == other_home
        and name != other
        and bool(re.search(r"\d", name))
        and re.sub(r"\d+", "#", name) == re.sub(r"\d+", "#", other)
    )


def _place(case: Case, chain: list[Node]) -> dict | None:
    """The line that applies the second layer where the script calls it by itself, else where the row is built."""
    site, after = chain[0].get("site"), chain[1].get("site")
    if site and after and site != after:
        return dict(after)
    built = first_call(case, "Sequential", where=lambda call: _bare(call) >= 2)
    return built or site


def _bare(call: object) -> int:
    """The longest run of arguments that build layers."""
    best = run = 0
    for argument in getattr(call, "args", ()):
        function = getattr(argument, "func", None)
        name = getattr(function, "attr", getattr(function, "id", ""))
        run = (
            run + 1
            if re.match(r"(Lazy)?(Linear|Conv\dd)$", name)
            else run
            if re.match(r"Dropout|BatchNorm|Identity|Flatten", name)
            else 0
        )
        best = max(best, run)
    return best

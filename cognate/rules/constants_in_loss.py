"""Cuts that starve no parameter, but part of the loss: a learned sample without gradient, a derivative that is a constant."""

from __future__ import annotations

from cognate.rules.flow import RESHAPES, Flow, Node

DRAWS = {"randn_like", "randn", "rand_like", "rand", "normal", "standard_normal"}
SUMS = {"add", "sub", "radd", "addcmul", "lerp"}
PRODUCTS = {"mul", "rmul", "addcmul"}


def cut_sample(graph: Flow) -> tuple[Node, Node] | None:
    """A sample of a learned mean and spread through which no gradient passes, and the trained layer that works on it.

    Kingma & Welling 2014 (section 2.4): mean + spread · noise lets the gradient of a loss on the sample reach both. Without it
    they are trained by other terms alone. A sample whose probability is part of the loss (a policy's action) needs no gradient:
    it is recognised by its use beside a learned mean.
    """
    for node in graph.nodes:
        if node.get("g") or not _is_sample(graph, node):
            continue
        users = [n for n in _behind(graph, node) if n["i"] != node["i"]]
        if any(user["op"] in SUMS and _learned(graph, user, but=node) for user in users):
            continue
        layer = next((n for n in users if n.get("p") and n.get("g") and graph.leads_to_root([n["i"]])), None)
        if layer is not None:
            return node, layer
    return None


def cut_derivative(graph: Flow) -> Node | None:
    """A derivative in the loss that backward takes for a constant: torch.autograd.grad without create_graph=True.

    Meant is a derivative by an input that enters the loss as it is (the residual of a differential equation, a force, a penalty
    on gradients). One that makes another input, as in adversarial training, or that updates weights, is a constant on purpose.
    """
    for node in graph.nodes:
        if node["op"] != "grad" or node.get("g") or not node.get("ig") or node.get("p"):
            continue
        if graph.leads_to_root(graph.users.get(node["i"], ()), lambda user: not user.get("p") and user["op"] != "grad"):
            return node
    return None


def _is_sample(graph: Flow, node: Node) -> bool:
    """Whether `node` is normal(mean, spread), or mean + spread · noise, of a learned mean and spread."""
    given = [graph.nodes[index] for index in node.get("in", ())]
    if node["op"] == "normal":
        return any(source.get("g") for source in _seen_through(graph, given))
    if node["op"] not in SUMS or len(given) < 2:
        return False
    learned = [s for s in given if _comes_of_learned(graph, s) and not _is_noise(graph, s)]
    return bool(learned) and any(_is_noise(graph, source) for source in given if source not in learned)


def _is_noise(graph: Flow, node: Node) -> bool:
    """Whether `node` is noise times a learned spread, without gradient."""
    if node["op"] not in PRODUCTS or node.get("g"):
        return False
    given = [graph.nodes[index] for index in node.get("in", ())]
    drawn = [source for source in given if source["op"] in DRAWS]
    return bool(drawn) and any(_comes_of_learned(graph, source) for source in given if source not in drawn)


def _comes_of_learned(graph: Flow, node: Node) -> bool:
    """Whether `node` has a gradient, or lost it just before: in a few operations on one tensor under no_grad."""
    for _ in range(8):
        if node.get("g"):
            return True
        given = node.get("in", ())
        if not node.get("ig") and len(given) != 1:
            return False
        if not given:
            return False
        node = graph.nodes[given[0]]
    return False


def _seen_through(graph: Flow, nodes: list[Node]) -> list[Node]:
    """`nodes` with reshapes and expansions replaced by what they were made of."""
    found = []
    for node in nodes:
        while node["op"] in RESHAPES and node.get("in"):
            node = graph.nodes[node["in"][0]]
        found.append(node)
    return found


def _behind(graph: Flow, node: Node) -> list[Node]:
    """`node` and what uses it directly, or through reshapes."""
    found, waiting = [], [node["i"]]
    while waiting:
        current = graph.nodes[waiting.pop(0)]
        found.append(current)
        if current is node or current["op"] in RESHAPES or current["op"] in ("cat", "concat", "stack"):
            waiting.extend(graph.users.get(current["i"], ()))
    return found


def _learned(graph: Flow, user: Node, but: Node) -> bool:
    """Whether `user` joins the sample with something of the same shape that has a gradient."""
    return any(
        graph.nodes[index].get("g") and graph.nodes[index].get("shape") == but.get("shape")
        for index in user.get("in", ())
        if index != but["i"]
    )

"""The error is maximised."""

import ast
from collections.abc import Iterator
from statistics import median

from cognate.case.curves import loss_series
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import Flow, flows
from cognate.rules.source import called
from cognate.rules.training import commonest_site, train_losses, where


def _calls(coefficient: float) -> list[dict]:
    base = {"kind": "loss_call", "fn": "mse_loss", "grad": True, "site": {"file": "t.py", "line": 40}, "value": 1.0}
    calls = [base | {"step": s, "coefficient": coefficient} for s in range(8)]
    return [*calls, {"kind": "call", "name": "step", "step": 0}]


@rule(
    code="LOSS104",
    name="loss-flipped-sign",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.call"},
    explains={
        "loss-diverging",
        "loss-nonfinite",
        "loss-not-decreasing",
        "opt-weights-diverge",
        "grad-exploding",
        "opt-lr-too-high",
    },
    core=True,
    sources={"calls": "the coefficient is exact; five calls rule out one adversarial phase"},
    fires=Example(events=_calls(-1.0)),
    quiet=Example(events=_calls(1.0)),
)
def loss_flipped_sign(case: Case, *, calls: int = 5) -> Iterator[Said]:
    """The loss has the wrong sign: the error is maximised, because it enters the objective with a negative coefficient.

    The coefficient is read off when backward reaches the loss. A negative weight on the only error term turns descent into
    ascent; so does a generator whose objective pushes its samples' score the same way as the critic's does. Adversarial terms
    beside a positive one, and optimizers with maximize=True, are left alone.
    """
    looked = [c for c in train_losses(case) if c.get("coefficient")]
    maximised = _allies(case) or (None if looked else _likelihood_minimised(case) or _traced_likelihood(case))
    if maximised:
        yield maximised
        return
    if len(looked) < calls:
        yield Skip("the coefficients of the losses could not be read", "use torch.nn.functional losses or their modules")
        return
    maximise = any(g.get("maximize") for o in case.model.get("optimizers", []) for g in o.get("groups", []))
    sign = -1 if maximise else 1
    negative = [c for c in looked if sign * c["coefficient"] < 0]
    if len(negative) < 0.95 * len(looked):
        yield Clear(f"the losses enter the objective with coefficients {_range(looked)}")
        return
    site = commonest_site(negative)
    steps = [p["result"] for p in case.probe("small_step")]
    rises = [s for s in steps if (s.get("relative") or 0.0) > 0]
    extra = (
        (Evidence("change of the loss after one small step", f"{rises[0]['relative']:+.2%}", "falls", "probe"),) if rises else ()
    )
    yield Finding(
        title=f"{negative[0]['fn']} at {where(site)} has the wrong sign: its coefficient in what is differentiated is "
        f"{negative[0]['coefficient']:.3g}, so the error is maximised",
        proof=Proof.EXPERIMENT if rises else Proof.MEASUREMENT,
        evidence=(
            Evidence("training calls with a negative coefficient", f"{len(negative)} of {len(looked)}", "0", "events.jsonl"),
            *extra,
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix("Remove the minus sign (or maximize=True), so that the error is minimised."),
    )


def _range(calls: list[dict]) -> str:
    values = sorted(c["coefficient"] for c in calls)
    return f"{values[0]:.3g} to {values[-1]:.3g}" if values[0] != values[-1] else f"{values[0]:.3g}"


def _likelihood_minimised(case: Case) -> Finding | None:
    """A log-likelihood that goes into backward without a minus sign, while the loss falls without bound."""
    losses = loss_series(case)
    finite = [v for v in losses.values if v is not None] if losses else []
    if len(finite) < 20:
        return None
    head, tail = median(finite[: max(3, len(finite) // 20)]), median(finite[-max(3, len(finite) // 10) :])
    runaway = tail < 0 and tail < head - 2 * max(1.0, abs(head))
    backward = {(c.get("site") or {}).get("file") for c in case.events("call", name="backward")}
    for file, tree in case.trees.items():
        for node in ast.walk(tree) if runaway and file in backward else ():
            if isinstance(node, ast.Assign) and _positive_log_prob(node.value):
                site = {"file": file, "line": node.lineno}
                return Finding(
                    title=f"the log-likelihood at {where(site)} has the wrong sign: log_prob is minimised, so the error is "
                    f"maximised "
                    f"(loss {head:.3g} → {tail:.3g})",
                    proof=Proof.MEASUREMENT,
                    evidence=(
                        Evidence("loss, first and last", [head, tail], "bounded below"),
                        Evidence("expression", ast.unparse(node.value)),
                    ),
                    location=Location.of(site),
                    onset_step=0,
                    fix=Fix("Minimise the negative log-likelihood: loss = -dist.log_prob(target).mean()."),
                )
    return None


def _positive_log_prob(node: ast.AST) -> bool:
    """Whether an expression is a mean or sum of log_prob alone, with no minus and no factor."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and called(node) in ("mean", "sum"):
        node = node.func.value
    return isinstance(node, ast.Call) and called(node) == "log_prob"


KEEPS = {
    "mean",
    "sum",
    "add",
    "radd",
    "iadd",
    "getitem",
    "gather",
    "squeeze",
    "view",
    "reshape",
    "flatten",
    "diagonal",
    "diag",
    "stack",
}
RISING = {"softplus", "relu", "sigmoid", "tanh", "logsigmoid", "log_sigmoid", "log", "clamp", "sub", "clip"}


def _traced_likelihood(case: Case) -> Finding | None:
    """A log-likelihood (score minus logsumexp, or a picked log-softmax) that enters the objective with a plus sign."""
    for graph in flows(case):
        for node in graph.nodes:
            sources = [graph.nodes[i]["op"] for i in node.get("in", ())]
            score = node["op"] == "sub" and len(sources) == 2 and sources[1] == "logsumexp"
            picked = node["op"] in ("getitem", "gather") and sources[:1] == ["log_softmax"]
            if (score or picked) and node.get("g") and node.get("site") and _sign(graph, node) == 1:
                site = node["site"]
                return Finding(
                    title=f"the log-likelihood at {where(site)} has the wrong sign: it enters the loss with a plus, so the "
                    f"error is maximised",
                    proof=Proof.MEASUREMENT,
                    evidence=(
                        Evidence(
                            "sign of the log-likelihood in what is differentiated", "+", "-", f"trace.jsonl, step {node['w']}"
                        ),
                        Evidence(
                            "the loss when traced", graph.nodes[graph.root].get("v") if graph.root is not None else None, "≥ 0"
                        ),
                    ),
                    location=Location.of(site),
                    onset_step=0,
                    fix=Fix("Put a minus sign before it: a log-likelihood is maximised by minimising its negative."),
                )
    return None


def _allies(case: Case) -> Finding | None:
    """A generator and its critic that push the score of the same made-up sample the same way: one of the two signs is wrong."""
    critic: tuple[int, dict, str] | None = None
    maker: tuple[int, dict, str] | None = None
    for graph in flows(case):
        for cut in graph.find(lambda n: n["op"] == "detach" and bool(n.get("in"))):
            owner, score = _owner(graph, graph.upstream(cut)), _score(graph, cut)
            if owner and score and score[1] != owner and (sign := _wish(case, graph, score[0])):
                others = [
                    n for n in graph.nodes if _root_of(n) == score[1] and n["op"] == score[0]["op"] and n["i"] != score[0]["i"]
                ]
                if any(_wish(case, graph, other) == -sign for other in others):
                    critic = (sign, score[0], owner)
        ends = [n for n in graph.nodes if _root_of(n)]
        if ends and (score := _score(graph, ends[0])) and score[1] != _root_of(ends[0]) and graph.reaches_root(ends[0]["p"][0]):
            sign = _wish(case, graph, score[0])
            maker = (sign, score[0], str(_root_of(ends[0]))) if sign else maker
    if not critic or not maker or critic[2] != maker[2] or critic[0] != maker[0] or critic[1]["w"] == maker[1]["w"]:
        return None
    graph = next(g for g in flows(case) if g.nodes and g.nodes[0]["w"] == maker[1]["w"])
    sites = [graph.nodes[u].get("site") for n in graph.downstream(maker[1]) for u in graph.users.get(n["i"], ()) if n.get("g")]
    site = next((s for s in sites if s and s != maker[1].get("site")), maker[1].get("site"))
    way = "down" if maker[0] > 0 else "up"
    return Finding(
        title=f"the objective of {maker[2]} at {where(site)} has the wrong sign: it pushes the score of its own samples "
        f"{way}, as the critic does, so nothing is opposed",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence(
                "sign of that score in the generator's and in the critic's objective", [maker[0], critic[0]], "opposite signs"
            ),
            Evidence("traced in steps", [maker[1]["w"], critic[1]["w"]], "", "trace.jsonl"),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix("Give the generator the opposite wish: softplus(-score), or the label of real samples."),
    )


def _root_of(node: dict) -> str | None:
    """The root whose parameters an operation uses: names begin with its class where there are several."""
    names = {name.partition(".")[0] for name in node.get("p", ())}
    return names.pop() if len(names) == 1 else None


def _owner(graph: Flow, nodes: Iterator[dict]) -> str | None:
    return next((root for node in nodes if (root := _root_of(node))), None)


def _score(graph: Flow, start: dict) -> tuple[dict, str] | None:
    """The last operation downstream of `start` that uses parameters, and their root: what a critic says of it."""
    last = None
    for node in graph.downstream(start):
        if (root := _root_of(node)) and (last is None or node["i"] > last[0]["i"]):
            last = node, root
    return last


def _wish(case: Case, graph: Flow, score: dict) -> int | None:
    """+1 where the objective falls with the score, -1 where it falls as the score rises; None where that can't be told."""
    sign, at = 1, score
    for _ in range(40):
        if at["i"] == graph.root:
            return sign
        users = [graph.nodes[u] for u in graph.users.get(at["i"], ()) if graph.nodes[u].get("g")]
        if len(users) != 1:
            return None
        user = users[0]
        scalar = user.get("a", {}).get("scalar")
        if user["op"] in ("binary_cross_entropy_with_logits", "binary_cross_entropy", "mse_loss"):
            target = _constant_target(case, graph, user)
            if target is None:
                return None
            sign = -sign if target > 0.5 else sign
        elif (
            user["op"] == "neg"
            or user["op"] == "rsub"
            or (user["op"] == "sub" and user["in"][-1] == at["i"] and len(user["in"]) == 2)
        ):
            sign = -sign
        elif user["op"] in ("mul", "rmul", "div", "truediv") and isinstance(scalar, (int, float)) and scalar != 0:
            sign = sign if scalar > 0 else -sign
        elif user["op"] not in KEEPS | RISING:
            return None
        at = user
    return None


def _constant_target(case: Case, graph: Flow, node: dict) -> float | None:
    """The target that all samples share in the loss call behind a traced operation, found by its place among its kind."""
    alike = [n["i"] for n in graph.nodes if n["op"] == node["op"] and n.get("g")]
    calls = [c for c in train_losses(case, node["op"]) if c["step"] == node["w"]]
    if len(alike) != len(calls):
        return None
    target = calls[alike.index(node["i"])].get("target", {})
    low, high = target.get("min"), target.get("max")
    return None if low is None or high is None or (low < 0.5) != (high < 0.5) else float(high)


def _sign(graph: Flow, node: dict) -> int | None:
    """+1 or -1 with which `node` enters the root, through sums and factors of known sign alone; None where that is not all."""
    sign, at = 1, node["i"]
    for _ in range(40):
        if at == graph.root:
            return sign
        users = [u for u in graph.users.get(at, ()) if graph.nodes[u].get("g")]
        if len(users) != 1:
            return None
        user = graph.nodes[users[0]]
        scalar = user.get("a", {}).get("scalar")
        if user["op"] == "neg" or (user["op"] == "sub" and user.get("in", [None])[-1] == at and len(user["in"]) == 2):
            sign = -sign
        elif user["op"] in ("mul", "rmul", "div", "truediv") and isinstance(scalar, (int, float)) and scalar != 0:
            sign = sign if scalar > 0 else -sign
        elif user["op"] == "rsub" or (user["op"] not in KEEPS and user["op"] != "sub"):
            return None
        at = user["i"]
    return None

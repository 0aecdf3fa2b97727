"""A preference loss stays at ln 2 because its margin is zero by construction."""

import ast
from collections.abc import Iterator
from math import log

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import RESHAPES, Flow, flows
from cognate.rules.source import argument_origin, called
from cognate.rules.training import where

Row = dict
PAIRED = ("log_sigmoid", "logsigmoid", "softplus", "binary_cross_entropy_with_logits")
FACTORS = ("mul", "rmul", "div", "truediv", "neg", *RESHAPES)
_SITE = {"file": "t.py", "line": 20, "function": "preference_loss"}


def _parts(zero: bool) -> dict:
    flag = {"zero": True} if zero else {}
    base = {"w": 40, "g": True, "ig": True, "site": _SITE}
    trace = [
        base | {"i": 0, "op": "gather", "in": [], "p": ["head.weight"]},
        base | {"i": 1, "op": "gather", "in": [], "p": ["head.weight"]},
        base | {"i": 2, "op": "sub", "in": [0, 1]} | flag,
        base | {"i": 3, "op": "mul", "in": [2], "a": {"scalar": 0.1}} | flag,
        base | {"i": 4, "op": "log_sigmoid", "in": [3]},
        base | {"i": 5, "op": "mean", "in": [4], "v": -0.6931 if zero else -0.4},
        {"w": 40, "root": 5, "nodes": 6},
    ]
    forward = {"kind": "forward", "step": 40, "object": "model#0 Policy", "inputs": [{"hash": 7}]}
    events = [forward | {"grad": True}, forward | {"grad": False}]
    return {"trace": trace, "events": events, "metrics": [{"step": s, "loss": log(2) if zero else 0.4} for s in range(60)]}


@rule(
    code="LOSS122",
    name="loss-dpo-degenerate",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"trace"},
    explains={
        "loss-not-decreasing",
        "grad-none-or-zero-param",
        "grad-graph-broken",
        "opt-lr-too-low",
        "opt-lr-zero-or-dead-tail",
        "data-input-label-misaligned",
    },
    sources={
        "level": "taxonomy, loss-dpo-degenerate: the loss within 1e-4 of ln 2",
        "points": "taxonomy, loss-dpo-degenerate: for 50 steps (a proposal there); 20 are 20 more than the one that is healthy",
    },
    fires=Example(**_parts(True)),
    quiet=Example(**_parts(False)),
)
def loss_dpo_degenerate(case: Case, *, level: float = 1e-4, points: int = 20) -> Iterator[Said]:
    """The preference loss is degenerate: it stays at ln 2 = 0.6931 because the margin is zero whatever the policy says.

    Either the policy is compared with itself (the reference is the same object, shares its weights, or is the policy with its
    adapters still on) or beta is zero. The first step is at ln 2 in every healthy run, so only later ones count.
    """
    heads = [(graph, head) for graph in flows(case) if (head := _margin(graph)) is not None]
    if not heads:
        yield Clear("no loss over the difference of two scores was traced")
        return
    still = _still(case, level)
    zero = [(graph, chain) for graph, chain in heads if chain[0].get("zero")]
    if len(still) < points or not zero:
        yield Clear("the margin of the pairwise loss differs from zero, or the loss from ln 2")
        return
    graph, chain = zero[-1]
    reason = _no_beta(case, chain) or _same(case, graph, chain)
    if reason is None:
        yield Skip("the margin of the pairwise loss is zero, and what is compared could not be told", "train longer")
        return
    said, site, fix = reason
    yield Finding(
        title=f"the preference loss stays at ln 2 = 0.6931: {said}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("steps at the end with a loss of ln 2", len(still), "falls", "metrics.jsonl"),
            Evidence("the margin, each pair of the batch", 0.0, "differs from 0", f"trace.jsonl, step {chain[0]['w']}"),
        ),
        location=Location.of(site),
        onset_step=still[0],
        fix=Fix(fix),
    )


def _still(case: Case, level: float) -> list[int]:
    """The steps at the end of the run whose loss was ln 2, also where it is divided for accumulation."""
    found: list[int] = []
    for row in reversed(case.metrics):
        loss = row.get("loss")
        if loss is None or all(abs(loss * k - log(2)) > level for k in (1, 2, 4, 8, 16, 32)):
            break
        found.insert(0, int(row["step"]))
    return found


def _margin(graph: Flow) -> list[Row] | None:
    """What goes into the pairwise loss, back through factors to a difference; None where there is no such loss."""
    for node in graph.find(lambda n: n["op"] in PAIRED and n.get("g", False)):
        chain: list[Row] = []
        at = node
        while at.get("in") and len(chain) < 12:
            at = graph.nodes[at["in"][0]]
            chain.append(at)
            if at["op"] in ("sub", "rsub"):
                return chain
            if at["op"] not in FACTORS:
                break
    return None


Reason = tuple[str, Row | None, str]


def _no_beta(case: Case, chain: list[Row]) -> Reason | None:
    """A factor of zero between a difference that is not zero and the loss."""
    for node in chain:
        if node["op"] in ("mul", "rmul") and node.get("a", {}).get("scalar") == 0:
            site = node.get("site")
            origin = next((found for name in _keywords(case) if (found := argument_origin(case, *name))), None) or _zero(case)
            return (
                f"the margin is multiplied by zero at {where(site)} (beta)",
                origin or site,
                "Set beta above zero; 0.1 is usual.",
            )
    return None


def _keywords(case: Case) -> Iterator[tuple[Row, str]]:
    """Calls that are given `beta=`."""
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and any(k.arg == "beta" for k in node.keywords) and called(node) != "add_argument":
                yield {"file": file, "line": node.lineno}, "beta"


def _zero(case: Case) -> Row | None:
    """The line that sets a name with `beta` in it to zero."""
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
            value = getattr(node, "value", None)
            zero = isinstance(value, ast.Constant) and value.value in (0, 0.0) and value.value is not False
            if zero and any("beta" in str(getattr(t, "id", getattr(t, "attr", ""))).lower() for t in targets):
                return {"file": file, "line": node.lineno}  # type: ignore[attr-defined]
    return None


def _same(case: Case, graph: Flow, chain: list[Row]) -> Reason | None:
    """The two scores that are subtracted come from the same weights."""
    difference = _innermost(graph, chain[-1])
    forwards = [event for event in case.events("forward") if int(event["step"]) == int(difference["w"])]
    hashes = [(event.get("inputs") or [{}])[0].get("hash") for event in forwards]
    # A ranking whose scores have all become equal is zero as well, but reads each input once.
    if not difference.get("zero") or len(set(hashes)) == len(hashes):
        return None
    site = _reference(case) or difference.get("site")
    fix = "Keep a frozen copy: copy.deepcopy(policy).requires_grad_(False), or switch the adapters off for the reference."
    sides = [_weights(graph, index) for index in difference.get("in", ())]
    if len(sides) == 2 and sides[0] and sides[0] == sides[1]:
        return (
            f"policy and reference have the same weights, so their difference at {where(difference.get('site'))} is zero",
            site,
            fix,
        )
    roots = {"grad": set(), "fixed": set()}  # type: ignore[var-annotated]
    for event in forwards:
        roots["grad" if event["grad"] else "fixed"].add(event.get("object"))
    if roots["fixed"] and roots["fixed"] <= roots["grad"]:
        who = ", ".join(sorted(str(name).rpartition(" ")[2] for name in roots["fixed"]))
        return f"the reference is the policy itself ({who}), compared with itself at {where(difference.get('site'))}", site, fix
    return None


def _innermost(graph: Flow, difference: Row) -> Row:
    """Of differences of differences that are zero, the first: the margin of rewards that are differences themselves."""
    for index in difference.get("in", ()):
        at = graph.nodes[index]
        while at["op"] in FACTORS and at.get("in"):
            at = graph.nodes[at["in"][0]]
        if at["op"] in ("sub", "rsub") and at.get("zero"):
            return _innermost(graph, at)
    return difference


def _weights(graph: Flow, index: int) -> set[str]:
    start = graph.nodes[index]
    return {name for node in (start, *graph.upstream(start)) for name in node.get("p", ())}


def _reference(case: Case) -> Row | None:
    """The statement that gives the reference its value: one name for another, or a shallow copy."""
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and "ref" in str(
                getattr(node.targets[0], "id", getattr(node.targets[0], "attr", ""))
            ):
                value = node.value
                if isinstance(value, (ast.Name, ast.Attribute)) or (isinstance(value, ast.Call) and called(value) == "copy"):
                    return {"file": file, "line": node.lineno}
    return None

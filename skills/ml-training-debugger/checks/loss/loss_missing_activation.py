"""A loss over log-probabilities is given something else."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import RESHAPES, Flow, flows
from cognate.rules.training import commonest_site, train_losses, where

FUNCTIONS = ("nll_loss", "ctc_loss", "kl_div")


def _calls(kind: str) -> list[dict]:
    base = {"kind": "loss_call", "fn": "nll_loss", "grad": True, "classes": 10, "site": {"file": "t.py", "line": 40}}
    calls = [base | {"step": s, "input": {"kind": kind, "shape": [32, 10], "min": -3.0, "max": 2.0}} for s in range(12)]
    return [*calls, {"kind": "call", "name": "step", "step": 0}]


@rule(
    code="LOSS102",
    name="loss-missing-activation",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.call"},
    explains={
        "loss-diverging",
        "loss-nonfinite",
        "loss-not-decreasing",
        "grad-exploding",
        "opt-lr-too-high",
        "opt-weights-diverge",
    },
    sources={"calls": "rows whose exponentials sum to 1 ± 1e-3 are log-probabilities; five calls make chance impossible"},
    fires=Example(events=_calls("logits")),
    quiet=Example(events=_calls("log_probabilities")),
)
def loss_missing_activation(case: Case, *, calls: int = 5) -> Iterator[Said]:
    """NLLLoss gets raw logits or plain probabilities instead of log-probabilities: log_softmax is missing before the loss.

    nll_loss only picks and negates entries. On logits it has no lower bound (the loss runs to minus infinity by scaling the
    weights); on probabilities its gradient is constant and weak. ctc_loss, kl_div and a picked entry that is negated by hand
    expect log-probabilities alike.
    """
    looked = [c for c in train_losses(case, *FUNCTIONS) if (c.get("input") or {}).get("kind")]
    for function in FUNCTIONS:
        mine = [c for c in looked if c["fn"] == function and (function != "kl_div" or _over_classes(c))]
        wrong = [c for c in mine if c["input"]["kind"] in ("logits", "probabilities")]
        if len(wrong) >= calls and len(wrong) >= 0.9 * len(mine):
            yield _finding(function, wrong, len(mine))
            return
    picked = _picked(case)
    if picked is not None:
        yield picked
    elif looked or case.trace:
        yield Clear(f"{len(looked)} losses over log-probabilities were given such, and none was picked by hand from scores")
    else:
        yield Skip("no loss over log-probabilities was computed in training", "")


def _over_classes(call: dict) -> bool:
    """Whether a divergence is one of distributions over the last dimension; over a batch of other things it is not."""
    target = call.get("target", {})
    return len(target.get("shape", ())) == 2 and (target.get("kind") == "probabilities" or bool(call.get("log_target")))


def _finding(function: str, wrong: list[dict], of: int) -> Finding:
    kinds = wrong[0]["input"]["kind"]
    site = commonest_site(wrong)
    return Finding(
        title=f"{function} at {where(site)} is given {kinds}, but it expects log-probabilities: log_softmax is missing "
        f"before the loss",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("training calls not given log-probabilities", f"{len(wrong)} of {of}", "0", "events.jsonl"),
            Evidence("range of the loss input", [wrong[0]["input"].get("min"), wrong[0]["input"].get("max")], "≤ 0"),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix("Use cross_entropy on the logits, or apply log_softmax over the class dimension before the loss."),
    )


def _picked(case: Case) -> Finding | None:
    """The objective is minus the mean of entries that were picked from scores straight out of a layer."""
    for graph in flows(case):
        node = graph.nodes[graph.root] if graph.root is not None else None
        signs = 0
        while node and node["op"] in ("neg", "mean", "sum", "mul", "div", *RESHAPES) and node.get("in"):
            factor = node.get("a", {}).get("scalar", 1)
            signs += node["op"] == "neg" or (isinstance(factor, (int, float)) and factor < 0)
            if node["op"] in ("getitem", "select", "unbind"):
                break
            node = graph.nodes[node["in"][0]]
        if not node or node["op"] not in ("gather", "getitem") or signs % 2 == 0 or not _by_label(graph, node):
            continue
        made = graph.producer(node, RESHAPES | {"dropout"})
        if made and made["op"] in ("linear", "addmm", "matmul", "softmax"):
            site = node.get("site")
            kinds = "probabilities" if made["op"] == "softmax" else "raw scores"
            return Finding(
                title=f"the likelihood at {where(site)} is picked from {kinds}, not from log-probabilities: "
                "log_softmax is missing",
                proof=Proof.MEASUREMENT,
                evidence=(
                    Evidence("operation that made them", made["op"], "log_softmax", f"trace.jsonl, step {node['w']}"),
                    Evidence("value of the objective", graph.nodes[graph.root or 0].get("v"), "≥ 0"),
                ),
                location=Location.of(site),
                onset_step=0,
                fix=Fix("Apply log_softmax over the class dimension first, or use cross_entropy."),
            )
    return None


def _by_label(graph: Flow, node: dict) -> bool:
    """Whether one entry of each row was picked: all rows are left, one dimension fewer, or one entry wide."""
    before, after = (node.get("shapes") or [[]])[0], node.get("shape") or []
    if len(before) < 2 or not after or after[0] != before[0] or before[-1] < 2:
        return False
    return after == before[:-1] or after == [*before[:-1], 1]

"""Every token halts at the first step."""

from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.chance import over_chance
from cognate.rules.flow import Node, flows
from cognate.rules.halting import example_trace, halted_share, halting_conditions, halting_parameters, probabilities
from cognate.rules.places import factor_place
from cognate.rules.training import where


@rule(
    code="ACT103",
    name="act-halt-collapse-min",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"trace"},
    explains={"act-steps-constant", "data-input-label-misaligned", "model-dead-relu", "loss-not-decreasing"},
    sources={
        "share": "taxonomy, act-halt-collapse-min: the 95th percentile at the minimum (our proposal there); 90 % for one "
        "batch's noise",
        "chance": "our calibration: a loss within 3 % of the best constant guess: nothing was learned that steps are for",
        "settled": "our calibration: an untrained head says nothing about what the cost does to it",
    },
    fires=Example(trace=example_trace(1.0)),
    quiet=Example(trace=example_trace(0.3)),
)
def act_halt_collapse_min(case: Case, *, share: float = 0.9, settled: int = 30, chance: float = 0.97) -> Iterator[Said]:
    """Halting collapses: all tokens halt at the first step, so the extra depth is never used.

    The cheapest answer to a ponder cost that is too large, or to a threshold below the initial halting probability, is never to
    think twice. Where the data are so easy that depth gains nothing, this is healthy; hence a warning, unless nothing is learned.
    """
    conditions = halting_conditions(case)
    if not conditions:
        yield _soft(case, share, settled, chance)
        return
    for nodes in conditions:
        last = max(node["w"] for node in nodes)
        asked = [halted_share(node) for node in nodes if node["w"] == last]
        if last < settled or len(asked) < 2 or asked[0] < share:
            continue
        yield Finding(
            title=f"halting collapses: the condition at {where(nodes[0]['site'])} holds for {asked[0]:.0%} of the tokens "
            f"at the first step, so "
            "nearly all tokens halt at the minimum number of steps",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence("share of tokens that halt at the first step", asked[0], f"< {share:.0%}", f"trace, step {last}"),
                Evidence("the same when the run began", halted_share(nodes[0]), "", f"trace, step {nodes[0]['w']}"),
            ),
            location=Location.of(_cost(case) or nodes[0]["site"]),
            onset_step=last,
            fix=Fix("Lower the ponder cost, start the halting bias negative, or force a minimum number of steps during warm-up."),
        )
        return
    met = min(halted_share(node) for nodes in conditions for node in nodes)
    yield Clear(f"the halting condition was met by {met:.0%} of tokens at some step")


def _soft(case: Case, share: float, settled: int, chance: float) -> Finding | Clear | Skip:
    """Halting without a condition: a mixture over steps, weighted by the probability to halt at each."""
    known = [steps for graph in flows(case) if len(steps := probabilities(graph)) >= 2]
    if not known:
        return Skip("no halting condition was recognised in the traced steps", "")
    first, last = known[0][0], known[-1][0]
    if last["w"] < settled or last["mean"] < share:
        return Clear(f"at the first step {last['mean']:.0%} of the probability to halt is spent")
    late = [ratio for _, ratio in sorted(over_chance(case, grad=True).items())[-5:]]
    return Finding(
        severity=Severity.ERROR if len(late) >= 3 and median(late) > chance else None,
        title=f"halting collapses: the probability at {where(last.get('site'))} is {last['mean']:.1%} at the first step, "
        "so that the later steps have no weight",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("mean halting probability at the first step", last["mean"], f"< {share:.0%}", f"trace, step {last['w']}"),
            Evidence("the same when the run began", first["mean"], "", f"trace, step {first['w']}"),
        ),
        location=Location.of(_cost(case) or last.get("site")),
        onset_step=0,  # the cost that does it is there from the start
        fix=Fix("Lower the ponder cost, start the halting bias negative, or force a minimum number of steps during warm-up."),
    )


def _cost(case: Case) -> dict | None:
    """Where the weight of the cost of thinking is set, if that term outweighs the others: then the cost is to blame."""
    graph = next((g for g in reversed(flows(case)) if g.root is not None and halting_parameters(g)), None)
    node: Node | None = graph.nodes[graph.root] if graph and graph.root is not None else None
    if graph is None or node is None or node["op"] not in ("add", "iadd") or node.get("v") is None:
        return None
    for term in (graph.nodes[i] for i in node.get("in", ())):
        factor, value = term.get("a", {}).get("scalar"), term.get("v")
        # A loss function's result times a factor is no cost; what the halting head's products were added up to is one.
        plain = all(source["op"] not in ("cross_entropy", "nll_loss", "mse_loss") for source in graph.upstream(term, 12))
        if term["op"] in ("mul", "rmul") and factor and value is not None and plain and value > node["v"] - value:
            return factor_place(case, term.get("site"), factor) or term.get("site")
    return None

"""Every token halts at the first step."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import flows
from cognate.rules.halting import comparisons, halted_share, halting_parameters
from cognate.rules.training import where

_SITE = {"file": "model.py", "line": 50, "function": "forward"}


def _trace(true: float) -> list[dict]:
    rows: list[dict] = []
    for window in (1, 40):
        rows.append({"w": window, "i": 0, "op": "linear", "in": [], "p": ["halt.weight"], "ig": True, "g": True, "shape": [4, 1]})
        rows.append({"w": window, "i": 1, "op": "sigmoid", "in": [0], "ig": True, "g": True, "shape": [4, 1]})
        for i in range(2, 6):
            rows.append({"w": window, "i": i, "op": "gt", "in": [1], "ig": True, "g": False, "true": true, "site": _SITE})
        rows.append({"w": window, "root": None, "nodes": 6})
    return rows


@rule(
    code="ACT103",
    name="act-halt-collapse-min",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"trace"},
    explains={"act-steps-constant"},
    sources={
        "share": "taxonomy, act-halt-collapse-min: the 95th percentile at the minimum (our proposal there); 90 % for one "
        "batch's noise",
        "settled": "our calibration: an untrained head says nothing about what the cost does to it",
    },
    fires=Example(trace=_trace(1.0)),
    quiet=Example(trace=_trace(0.3)),
)
def act_halt_collapse_min(case: Case, *, share: float = 0.9, settled: int = 30) -> Iterator[Said]:
    """Halting collapses: all tokens halt at the first step, so the extra depth is never used.

    The cheapest answer to a ponder cost that is too large, or to a threshold below the initial halting probability, is never to
    think twice. Where the data are so easy that depth gains nothing, this is healthy; hence a warning.
    """
    graphs = flows(case)
    looked = [node for graph in graphs for node in comparisons(graph) if halting_parameters(graph)]
    if not looked:
        yield Skip("no halting condition was recognised in the traced steps", "")
        return
    sites: dict[tuple, list[dict]] = {}
    for node in looked:
        site = node.get("site") or {}
        sites.setdefault((site.get("file"), site.get("line")), []).append(node)
    for (_, line), nodes in sorted(sites.items(), key=str):
        last = max(node["w"] for node in nodes)
        asked = [halted_share(node) for node in nodes if node["w"] == last]
        if not line or last < settled or len(asked) < 2 or asked[0] < share:
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
            location=Location.of(nodes[0]["site"]),
            onset_step=last,
            fix=Fix("Lower the ponder cost, start the halting bias negative, or force a minimum number of steps during warm-up."),
        )
        return
    yield Clear(f"the halting condition was met by {min(halted_share(n) for n in looked):.0%} of tokens at some step")

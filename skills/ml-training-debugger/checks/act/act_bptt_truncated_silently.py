"""The recursion's state is detached at every step."""

from collections import Counter
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.flow import Flow, flows
from cognate.rules.training import where

_SITE = {"file": "model.py", "line": 40, "function": "forward"}


def _trace(cut: str) -> list[dict]:
    rows = []
    for step in range(6):
        base = {"w": 1, "ig": True, "site": _SITE}
        given = [2 * step - 1] if step else []
        rows.append(base | {"i": 2 * step, "op": "linear", "in": given, "p": ["cell.weight"], "g": True, "ig": True})
        rows.append(base | {"i": 2 * step + 1, "op": cut, "in": [2 * step], "g": cut != "detach"})
    rows.append({"w": 1, "i": 12, "op": "linear", "in": [10], "p": ["out.weight"], "ig": True, "g": True, "site": _SITE})
    return [*rows, {"w": 1, "root": 12, "nodes": 13}]


@rule(
    code="ACT105",
    name="act-bptt-truncated-silently",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"trace"},
    explains={"loss-not-decreasing"},
    sources={"least": "our calibration: three detachments at one line in one forward are a loop, one is a boundary"},
    fires=Example(trace=_trace("detach")),
    quiet=Example(trace=_trace("tanh")),
)
def act_bptt_truncated_silently(case: Case, *, least: int = 3) -> Iterator[Said]:
    """The recursion's state is detached at every step, so only the last step gets a gradient: what came before is never learned.

    Backpropagation through time ends at each detach. Within one forward that silently turns a recursion into its last step;
    between batches it is the usual truncation and left alone. One-step-gradient designs do it on purpose, hence a warning.
    """
    for graph in flows(case):
        cuts = [n for n in graph.nodes if n["op"] == "detach" and n.get("ig") and n.get("site")]
        lines = Counter((n["site"]["file"], n["site"]["line"]) for n in cuts)
        for (file, line), count in sorted(lines.items()):
            nodes = [n for n in cuts if (n["site"]["file"], n["site"]["line"]) == (file, line)]
            if count < least or not _recurs(graph, nodes):
                continue
            yield Finding(
                title=f"the recurrent state is detached at {where(nodes[0]['site'])} in each of {count} steps of one "
                f"forward: gradient reaches only "
                "the last step",
                proof=Proof.MEASUREMENT,
                evidence=(Evidence("detachments at this line in one forward", count, "0", f"trace, step {nodes[0]['w']}"),),
                location=Location.of(nodes[0]["site"]),
                onset_step=0,
                fix=Fix(
                    "Remove the detach inside the loop; cut the graph between batches, or every k steps, if memory asks for it."
                ),
            )
            return
    yield Clear("no state is detached again and again within a forward")


def _recurs(graph: Flow, cuts: list[dict]) -> bool:
    """Whether what one detachment gives out flows, through a parameter used at every step, into the next detachment."""
    marked = {n["i"] for n in cuts}
    linked = 0
    for node in cuts:
        for later in graph.downstream(node):
            if later["i"] != node["i"] and later["i"] in marked:
                linked += 1
                break
    return linked >= len(cuts) - 1

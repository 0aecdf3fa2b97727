"""A linear recurrence is computed by a Python loop over time."""

from collections import Counter
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.flow import RESHAPES, Flow, flows
from cognate.rules.training import where

_SITE = {"file": "model.py", "line": 30, "function": "forward"}
LINEAR = {"mul", "add", "sub", "rmul", "radd", "rsub", "lerp", "div", "truediv", "setitem", "stack", "cat", "zeros_like"}


def _trace(squash: str) -> list[dict]:
    rows = []
    for i in range(0, 192, 3):
        rows.append({"w": 1, "i": i, "op": "mul", "in": [i - 1] if i else [], "g": True, "site": _SITE})
        rows.append({"w": 1, "i": i + 1, "op": squash, "in": [i], "g": True, "site": _SITE})
        rows.append({"w": 1, "i": i + 2, "op": "add", "in": [i + 1], "g": True, "site": _SITE})
    return [*rows, {"w": 1, "root": 191, "nodes": 192}]


@rule(
    code="PERF101",
    name="perf-python-loop-over-time",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"trace"},
    sources={
        "length": "measured on one CPU thread: a chunked scan is 7 times faster than the loop at 64 steps, 42 times at 2,048",
        "share": "our calibration: below a quarter of the operations the loop is not what the step waits for",
    },
    fires=Example(trace=_trace("mul")),
    quiet=Example(trace=_trace("tanh")),
)
def perf_python_loop_over_time(case: Case, *, length: int = 32, share: float = 0.25) -> Iterator[Said]:
    """A Python loop over time computes a linear recurrence, one small operation a step, where one vectorised scan would do.

    m_t = a·m_(t-1) + b·x_t is linear in its inputs: a cumulative sum, a chunked Toeplitz product or a scan computes all steps at
    once. A loop with a nonlinearity between its steps (an LSTM, a GRU) cannot be unrolled so and is left alone.
    """
    for graph in flows(case):
        counts = Counter((n["site"]["file"], n["site"]["line"]) for n in graph.nodes if n.get("site") and n["op"] in LINEAR)
        for (file, line), _ in counts.most_common(5):
            here = [n for n in graph.nodes if n.get("site") and (n["site"]["file"], n["site"]["line"]) == (file, line)]
            steps = _chain(graph, here)
            if steps < length:
                continue
            loop = _loop(graph, here[0]["site"])
            if len(loop) < share * len(graph.nodes):
                continue
            site = here[0]["site"]
            yield Finding(
                title=f"a Python loop over time at {where(site)} computes a linear recurrence in {steps} sequential steps: "
                f"vectorise it",
                proof=Proof.MEASUREMENT,
                evidence=(
                    Evidence(
                        "sequential steps of the recurrence in one forward",
                        steps,
                        "1 vectorised operation",
                        f"trace, step {here[0]['w']}",
                    ),
                    Evidence(
                        "operations of the loop among all of the step", f"{len(loop)} of {len(graph.nodes)}", f"< {share:.0%}"
                    ),
                ),
                location=Location.of(site, here[0].get("m")),
                onset_step=0,
                fix=Fix(
                    "Compute all steps at once: a cumulative sum of scaled inputs, or chunks of a Toeplitz matrix with a carry."
                ),
            )
            return
    yield Clear("no linear recurrence runs as a Python loop in the traced steps")


def _chain(graph: Flow, here: list[dict]) -> int:
    """The length of the longest chain of operations at one line in which each feeds the next through linear operations alone."""
    mine = {n["i"] for n in here}
    depth: dict[int, int] = {}
    bent: dict[int, int] = {}  # the same, for what depends on an earlier step through a nonlinearity: no scan can replace that
    for node in graph.nodes:
        sources = node.get("in", ())
        straight = max((depth.get(i, 0) for i in sources), default=0)
        curved = max((bent.get(i, 0) for i in sources), default=0)
        if node["op"] not in LINEAR and node["op"] not in RESHAPES:
            bent[node["i"]] = max(curved, straight)
            continue
        bent[node["i"]] = curved
        # The gates of an LSTM multiply a state that flows on linearly, but they depend on that state themselves.
        depth[node["i"]] = 0 if curved else straight + (node["i"] in mine and node["op"] in LINEAR)
    per_step = max(1, max(Counter(n["op"] for n in here).values(), default=1))
    longest = max(depth.values(), default=0)
    # A line such as `m = a * m + b * x` holds several operations of one time step.
    kinds = len({n["op"] for n in here if n["op"] in LINEAR})
    return min(longest // max(1, kinds), per_step)


def _loop(graph: Flow, site: dict) -> list[dict]:
    return [
        n for n in graph.nodes
        if n.get("site") and n["site"]["file"] == site["file"] and n["site"].get("function") == site.get("function")
    ]  # fmt: skip

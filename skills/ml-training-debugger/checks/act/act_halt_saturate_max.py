"""Every token runs to the maximum number of steps."""

from collections.abc import Iterator

from cognate.case.printed import printed_metrics
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import flows
from cognate.rules.halting import example_trace, halted_share, halting_conditions, single_step_conditions
from cognate.rules.training import where


@rule(
    code="ACT102",
    name="act-halt-saturate-max",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"trace"},
    explains={"act-steps-constant"},
    core=True,
    sources={
        "share": "taxonomy, act-halt-saturate-max: over 95 % at the maximum (our proposal there); here no token halts "
        "early at all",
    },
    fires=Example(trace=example_trace(0.0)),
    quiet=Example(trace=example_trace(0.3)),
)
def act_halt_saturate_max(case: Case, *, share: float = 0.0) -> Iterator[Said]:
    """Halting never happens: all tokens run to the maximum step, because the halting condition is never true.

    The ponder cost is then a constant and the adaptive depth a fixed one. Usual places: a threshold that the accumulated
    probability cannot reach (divided by the number of steps, or an epsilon too small), a strongly negative bias.
    """
    conditions = halting_conditions(case)
    if not conditions:
        yield Skip("no halting condition was recognised in the traced steps", "")
        return
    for nodes in conditions:
        windows = {node["w"] for node in nodes}
        # Asked once a step of the recursion; one comparison alone is a readout, not a halting loop.
        repeated = len(nodes) >= 2 * len(windows)
        stuck = max(halted_share(node) for node in nodes) <= share
        if not (repeated and stuck and len(windows) >= 2):
            continue
        steps = [s for n, s in printed_metrics(case).items() if "step" in n and s.values]
        extra = tuple(Evidence(f"printed {s.name}", s.values[-1], "varies") for s in steps[:2])
        yield Finding(
            title=f"halting never happens: the condition at {where(nodes[0]['site'])} is never true, so every token always "
            f"runs to the "
            "maximum step",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence(
                    "share of tokens that meet the halting condition at any step",
                    0.0,
                    "above 0",
                    f"trace, steps {sorted(windows)}",
                ),
                Evidence("times the condition was evaluated", len(nodes)),
                *extra,
            ),
            location=Location.of(nodes[0]["site"]),
            onset_step=min(windows),
            fix=Fix("Make the threshold reachable: do not scale the halting probability down, and start its bias near zero."),
        )
        return
    alone = _alone(case)
    if alone:
        yield alone
        return
    met = max(halted_share(node) for nodes in conditions for node in nodes)
    yield Clear(f"the halting condition was met by {met:.0%} of tokens at some step")


def _alone(case: Case) -> Finding | None:
    """A bound that is meant for the sum of the probabilities is asked of each one alone, and nobody reaches it for long."""
    windows = [nodes for graph in flows(case) if (nodes := single_step_conditions(graph))]
    never = [nodes for nodes in windows if max(halted_share(node) for node in nodes) == 0.0]
    if len(never) < 2 or 2 * len(never) < len(windows):
        return None
    node = never[0][0]
    return Finding(
        title=f"halting hardly happens: at {where(node['site'])} the probability of each step alone is compared with "
        f"{node['a']['bound']:g}, which no token reaches in the first {never[-1][0]['w']} steps of training",
        proof=Proof.MEASUREMENT,
        severity=Severity.WARNING,
        evidence=(
            Evidence(
                "traced steps of training in which no token halted early", [nodes[0]["w"] for nodes in never], "none", "trace"
            ),
            Evidence("share that halts early at the last traced step", max(halted_share(n) for n in windows[-1])),
        ),
        location=Location.of(node["site"]),
        onset_step=int(never[0][0]["w"]),
        fix=Fix("Compare the sum of the halting probabilities so far, total + p, with the bound."),
    )

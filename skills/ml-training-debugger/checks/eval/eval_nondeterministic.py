"""The same input gives different outputs in eval mode."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.source import first_call
from cognate.rules.training import number


def _probe(repeat: float) -> dict:
    result = {"repeat": repeat, "after_other_batch": repeat, "scale": 1.0, "state_moved": []}
    return {"probe": "determinism", "status": "ok", "step": 2, "module": "Net", "result": result}


@rule(
    code="EVAL104",
    name="eval-nondeterministic",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"probe.determinism"},
    sources={
        "delta": "taxonomy, eval-nondeterministic: atomics stay below 1e-5; a thousandth of the outputs' scale is no rounding"
    },
    fires=Example(probes=[_probe(0.4)]),
    quiet=Example(probes=[_probe(0.0)]),
)
def eval_nondeterministic(case: Case, *, delta: float = 1e-3) -> Iterator[Said]:
    """Evaluation is random: the same batch gives different outputs in eval mode, as if dropout or noise were still on.

    Usual places: F.dropout without training=self.training, noise that is added in every forward, a sampled latent. Models that
    sample by design (variational ones) are random here too, so this alone is no error.
    """
    found = case.probe("determinism")
    wrong = [p for p in found if (p["result"]["repeat"] or 0.0) > delta * max((p["result"].get("scale") or 1.0), 1e-6)]
    wrong = [p for p in wrong if not p["result"]["state_moved"]]
    if not wrong:
        yield Clear(f"two eval forwards of one batch are {number(found[-1]['result']['repeat'])} apart")
        return
    result = wrong[0]["result"]
    functional = first_call(
        case, "dropout", where=lambda node: not any(k.arg == "training" for k in node.keywords) and len(node.args) < 3
    )
    samples = first_call(
        case, "randn_like", "randn", "rand_like", "rand", "bernoulli", "multinomial", "rsample", "sample", "normal_"
    )
    if functional is None and samples is not None:
        yield Clear("the model samples noise in its forward by design (two eval forwards differ)")
        return
    yield Finding(
        title=f"the same batch gives different outputs in eval mode ({number(result['repeat'])} apart): dropout or noise "
        f"stays active in "
        "evaluation",
        proof=Proof.EXPERIMENT,
        severity=Severity.ERROR if functional else None,
        evidence=(
            Evidence(
                "difference between two eval forwards of one batch", result["repeat"], "0", f"probe, step {wrong[0]['step']}"
            ),
        ),
        location=Location.of(functional),
        onset_step=0,
        fix=Fix("Use nn.Dropout, or pass training=self.training to F.dropout."),
    )

"""NLLLoss is given something that is not log-probabilities."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import commonest_site, train_losses, where


def _calls(kind: str) -> list[dict]:
    base = {"kind": "loss_call", "fn": "nll_loss", "grad": True, "classes": 10, "site": {"file": "t.py", "line": 40}}
    return [base | {"step": s, "input": {"kind": kind, "shape": [32, 10], "min": -3.0, "max": 2.0}} for s in range(12)]


@rule(
    code="LOSS102",
    name="loss-missing-activation",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.loss_call"},
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
    weights); on probabilities its gradient is constant and weak.
    """
    looked = train_losses(case, "nll_loss")
    if len(looked) < calls:
        yield Skip("no nll_loss was computed in training", "")
        return
    wrong = [c for c in looked if c["input"].get("kind") in ("logits", "probabilities")]
    if len(wrong) < 0.9 * len(looked):
        yield Clear(f"{len(looked) - len(wrong)} of {len(looked)} calls of nll_loss were given log-probabilities")
        return
    kinds = wrong[0]["input"]["kind"]
    site = commonest_site(wrong)
    yield Finding(
        title=f"nll_loss at {where(site)} is given {kinds}, but it expects log-probabilities: log_softmax is missing "
        f"before the loss",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("training calls not given log-probabilities", f"{len(wrong)} of {len(looked)}", "0", "events.jsonl"),
            Evidence("range of the loss input", [wrong[0]["input"].get("min"), wrong[0]["input"].get("max")], "≤ 0"),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix("Use cross_entropy on the logits, or apply log_softmax over the class dimension before nll_loss."),
    )

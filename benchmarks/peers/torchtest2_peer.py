"""torchtest2 0.1: `check_model` on one batch before each optimizer's first step, all default checks.

Failures come before warnings, in the order of its checks; it has no other rank.
"""

from __future__ import annotations

from benchmarks.peers.peer import Peer
from benchmarks.peers.verdict import Finding, Meaning, Verdict, ranked
from benchmarks.peers.workshop import NotRunError, Program, Workshop

_NOT_TRAINED = ("opt-params-missing", "opt-stale-params")
_UNSTABLE = ("num-unstable-expression", "num-div-by-zero-norm", "num-fully-masked-row")

# From its README ("What is checked", "Bug gallery") and the messages in torchtest2/checks.py. `/fail`, `/warn`: its statuses.
MEANINGS = {
    "forward/fail": Meaning(symptom=True),
    "output_finite/fail": Meaning(names=_UNSTABLE, guesses=("num-fp16-scale-collapse", "data-nan-or-inf-input"), symptom=True),
    "output_varies/warn": Meaning(guesses=("model-branch-no-effect", "loss-shape-broadcast", "model-dead-relu"), symptom=True),
    "eval_determinism/warn": Meaning(names=("eval-nondeterministic",)),
    "loss/fail": Meaning(names=("grad-graph-broken", "loss-nonfinite"), guesses=("loss-reduction-scale",), symptom=True),
    "initial_loss/warn": Meaning(
        names=("model-init-loss-off",),
        guesses=("model-init-variance", "data-unnormalized-input", "model-future-leak"),
        symptom=True,
    ),
    "optimizer_coverage/fail": Meaning(names=_NOT_TRAINED),
    "optimizer_coverage/warn": Meaning(names=("opt-stale-params",)),
    "optimizer_coverage/foreign": Meaning(names=_NOT_TRAINED),
    "gradient_flow/fail": Meaning(
        names=("grad-graph-broken", "grad-none-or-zero-param", "grad-checkpoint-cuts-graph", "code-no-grad-on-train"),
        guesses=("code-unused-loss-term", "model-branch-no-effect", "act-halting-head-no-grad"),
    ),
    "gradient_flow/warn": Meaning(names=("grad-none-or-zero-param", "model-dead-relu"), guesses=("model-branch-no-effect",)),
    "gradient_magnitude/fail": Meaning(names=_UNSTABLE, guesses=("num-fp16-scale-collapse",), symptom=True),
    "gradient_magnitude/warn": Meaning(
        names=("grad-exploding",),
        guesses=("model-init-variance", "opt-lr-too-high", "grad-clip-ineffective", "data-unnormalized-input"),
        symptom=True,
    ),
    "params_change/fail": Meaning(
        names=("opt-step-no-effect", "grad-none-or-zero-param", "opt-lr-zero-or-dead-tail"),
        guesses=(*_NOT_TRAINED, "num-bf16-update-lost", "grad-graph-broken"),
        symptom=True,
    ),
    "params_change/warn": Meaning(
        names=("grad-none-or-zero-param",), guesses=("num-bf16-update-lost", "opt-lr-too-low"), symptom=True
    ),
    "frozen_params/fail": Meaning(names=("grad-freeze-not-applied",)),
    "frozen_params/warn": Meaning(),
    "input_dependency/fail": Meaning(names=("model-branch-no-effect", "code-batch-not-all-used", "model-padding-attended")),
    "input_dependency/warn": Meaning(names=("model-branch-no-effect",), symptom=True),
    "batch_independence/fail": Meaning(names=("model-batch-mixing", "code-view-vs-transpose")),
    "batch_independence/warn": Meaning(names=("model-batch-mixing",)),
    "overfit_batch/fail": Meaning(
        guesses=("opt-lr-too-high", "opt-lr-too-low", "loss-wrong-function", "num-unstable-expression", "loss-softmax-twice"),
        symptom=True,
    ),
    "overfit_batch/warn": Meaning(guesses=("model-capacity-too-small", "opt-lr-too-low"), symptom=True),
}


def judge(program: Program, workshop: Workshop) -> Verdict:
    """The pre-flight; what the program does afterwards does not matter."""
    found, cpu = workshop.hook("torchtest2_preflight", program, finished=False)
    if "error" in found and not found["loss"]:
        raise NotRunError(f"check_model raised {found['error'][:120]}")
    findings = ranked(Finding(*one) for one in found["findings"])
    return Verdict("ok", findings=findings, cpu=cpu, note="loss " + ", ".join(sorted(set(found["loss"]))))


PEER = Peer(
    name="torchtest2",
    title="torchtest2 0.1.0",
    module="torchtest2",
    changes="one call before training (made by a hook)",
    references="none",
    reads="model, batch, loss and optimizer before the first step of each optimizer",
    meanings=MEANINGS,
    judge=judge,
)

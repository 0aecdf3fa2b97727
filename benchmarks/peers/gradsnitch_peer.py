"""gradsnitch 0.1: `watch(model, optimizer)` in the loop, or its callback in a framework's trainer.

Defaults throughout. Its findings have stable ids and no rank but severity (README, "What it catches today").
"""

from __future__ import annotations

from benchmarks.peers.peer import Peer
from benchmarks.peers.verdict import Finding, Meaning, Verdict, ranked
from benchmarks.peers.workshop import Program, Workshop

# From `likely_cause` and `suggestion` of each detector in gradsnitch/__init__.py.
MEANINGS = {
    "GS001": Meaning(
        names=("loss-nonfinite",),
        guesses=("opt-lr-too-high", "num-fp16-scale-collapse", "data-nan-or-inf-input", "grad-clip-ineffective"),
        symptom=True,
    ),
    "GS002": Meaning(names=("grad-exploding",), guesses=("opt-lr-too-high", "grad-clip-ineffective"), symptom=True),
    "GS003": Meaning(names=("grad-spike",), guesses=("opt-lr-too-high", "grad-clip-ineffective"), symptom=True),
    "GS004": Meaning(names=("eval-overfit",), symptom=True),
    "GS005": Meaning(
        names=("loss-not-decreasing",),
        guesses=(
            *("opt-lr-too-low", "opt-warmup-missing-or-long", "model-init-variance", "model-dead-relu"),
            *("grad-unintended-freeze", "data-input-label-misaligned", "data-label-noise"),
        ),
        symptom=True,
    ),
    "GS006": Meaning(names=("loss-diverging",), guesses=("opt-lr-too-high", "opt-sched-horizon-mismatch"), symptom=True),
    "GS007": Meaning(
        names=("grad-vanishing",),
        guesses=(
            "model-dead-relu",
            "model-saturated-activation",
            "model-norm-placement",
            "opt-lr-too-low",
            "model-init-variance",
        ),
        symptom=True,
    ),
    # One id for both directions.
    "GS008": Meaning(names=("opt-lr-too-high", "opt-lr-too-low")),
    "GS009": Meaning(names=("loss-oscillating",), guesses=("opt-lr-too-high", "opt-warmup-missing-or-long"), symptom=True),
    "GS010": Meaning(
        names=("opt-sched-horizon-mismatch", "opt-lr-zero-or-dead-tail"),
        guesses=("opt-sched-epoch-vs-step", "opt-sched-per-process"),
    ),
}


def judge(program: Program, workshop: Workshop) -> Verdict:
    """The whole run, watched."""
    found, cpu = workshop.hook("gradsnitch_watch", program, finished=True)
    return Verdict("ok", findings=ranked(Finding(*one) for one in found["findings"]), cpu=cpu)


PEER = Peer(
    name="gradsnitch",
    title="gradsnitch 0.1.0",
    module="gradsnitch",
    changes="watch and log in the loop, or a callback (made by a hook)",
    references="none",
    reads="the loss of every step, gradients, the learning rate, validation losses",
    meanings=MEANINGS,
    judge=judge,
)

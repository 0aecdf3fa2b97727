"""runmedic 0.1: `runmedic diagnose train.log --json` on what the program printed.

The log is that of the run recorded by Cognate, whose own words go elsewhere. Its order is severity, then its list of checks.
"""

from __future__ import annotations

import json

from benchmarks.peers.peer import Peer
from benchmarks.peers.verdict import Finding, Meaning, Severity, Verdict, ranked
from benchmarks.peers.workshop import NotRunError, Program, Workshop

_SEVERITY: dict[str, Severity] = {"critical": "error", "warning": "warning", "info": "info"}

# From `causes` and `fixes` of each check in runmedic/checks.py and of each pattern in runmedic/logpatterns.py.
MEANINGS = {
    "non_finite": Meaning(
        names=("loss-nonfinite",),
        guesses=(
            *("data-nan-or-inf-input", "num-unstable-expression", "num-div-by-zero-norm", "model-init-variance"),
            *("opt-lr-too-high", "grad-exploding", "opt-warmup-missing-or-long", "num-fp16-scale-collapse"),
            *("num-fp16-no-scaler", "num-clip-before-unscale", "grad-clip-ineffective"),
        ),
        symptom=True,
    ),
    "divergence": Meaning(
        names=("loss-diverging",),
        guesses=("opt-lr-too-high", "opt-adam-hparams", "opt-decay-on-norm-bias-embed", "data-shuffle-missing"),
        symptom=True,
    ),
    "no_learning": Meaning(
        names=("loss-not-decreasing",),
        guesses=(
            *("opt-lr-zero-or-dead-tail", "opt-lr-too-low", "opt-step-no-effect", "grad-zeroed-before-step", "code-call-order"),
            *("grad-unintended-freeze", "opt-params-missing", "data-input-label-misaligned", "grad-graph-broken"),
        ),
        symptom=True,
    ),
    "overfitting": Meaning(names=("eval-overfit",), symptom=True),
    "loss_spikes": Meaning(
        guesses=("data-label-noise", "opt-lr-too-high", "opt-warmup-missing-or-long", "grad-spike", "grad-clip-ineffective"),
        symptom=True,
    ),
    "grad_spikes": Meaning(
        names=("grad-spike",),
        guesses=("opt-lr-too-high", "opt-warmup-missing-or-long", "model-attn-logit-growth", "grad-clip-ineffective"),
        symptom=True,
    ),
    "val_below_train": Meaning(names=("eval-val-better-than-train",), guesses=("eval-split-overlap",), symptom=True),
    "constant_lr_plateau": Meaning(guesses=("opt-sched-never-stepped",), symptom=True),
    "input_bound": Meaning(names=("perf-dataloader-bound",), guesses=("perf-host-sync-per-step", "perf-batch-too-small")),
    "slow_steps": Meaning(names=("perf-step-outliers",), symptom=True),
    "slowdown": Meaning(names=("perf-throughput-regression",), guesses=("perf-graph-retained",), symptom=True),
    "memory_growth": Meaning(names=("perf-graph-retained",), symptom=True),
    "log:cuda_oom": Meaning(guesses=("perf-graph-retained",), symptom=True),
    "log:dataloader_killed": Meaning(symptom=True),
    "log:amp_overflow": Meaning(names=("num-fp16-scale-collapse",), guesses=("opt-lr-too-high",), symptom=True),
    "log:anomaly_nan": Meaning(names=("loss-nonfinite",), guesses=("grad-exploding", "num-unstable-expression"), symptom=True),
    "log:nccl_timeout": Meaning(names=("dist-collective-mismatch",), symptom=True),
    "log:device_mismatch": Meaning(names=("code-device-literal",), symptom=True),
    "log:backward_twice": Meaning(symptom=True),
    "log:inplace_grad": Meaning(symptom=True),
    "log:unused_params": Meaning(names=("dist-unused-params",)),
}


def judge(program: Program, workshop: Workshop) -> Verdict:
    """The printed log, read afterwards."""
    _, text, cpu = workshop.recording(program)
    folder = workshop.folder / program.id / "runmedic"
    folder.mkdir(exist_ok=True)
    (folder / "train.log").write_text(text)
    ended = workshop.run(["-m", "runmedic", "diagnose", "train.log", "--json"], folder)
    if ended.code != 0:
        raise NotRunError(ended.output.strip().splitlines()[-1] if ended.output.strip() else "runmedic failed")
    findings = [Finding(one["check"], _SEVERITY[one["severity"]]) for run in json.loads(ended.output) for one in run["findings"]]
    return Verdict("ok", findings=ranked(findings), cpu=cpu + ended.cpu)


PEER = Peer(
    name="runmedic",
    title="runmedic 0.1.1",
    module="runmedic",
    changes="none",
    references="none",
    reads="what the program printed",
    meanings=MEANINGS,
    judge=judge,
)

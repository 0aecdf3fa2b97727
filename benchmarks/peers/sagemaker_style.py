"""Rules in the style of SageMaker Debugger: our code, its published rules and default thresholds, on Cognate's recordings.

Source: AWS, "List of Debugger built-in rules", https://docs.aws.amazon.com/sagemaker/latest/dg/debugger-built-in-rules.html,
as in awsdocs/amazon-sagemaker-developer-guide, doc_source/debugger-built-in-rules.md, commit 1c4d5ff. The service is no longer
open to new customers. Its rules have no rank: they stand here in the order of the document.

What a recording lacks is replaced as each rule says, or the rule is left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from benchmarks.peers.peer import Peer
from benchmarks.peers.verdict import Finding, Meaning, Verdict
from benchmarks.peers.workshop import Program, Workshop
from cognate.case.case import Case
from cognate.case.curves import loss_series, validation_series

MEANINGS = {
    "DeadRelu": Meaning(names=("model-dead-relu",), symptom=True),
    "ExplodingTensor": Meaning(names=("loss-nonfinite",), guesses=("grad-exploding", "data-nan-or-inf-input"), symptom=True),
    "PoorWeightInitialization": Meaning(
        names=("model-init-variance", "model-symmetric-init"), guesses=("grad-vanishing", "grad-exploding")
    ),
    "SaturatedActivation": Meaning(names=("model-saturated-activation",), symptom=True),
    "VanishingGradient": Meaning(names=("grad-vanishing",), guesses=("grad-none-or-zero-param",), symptom=True),
    "WeightUpdateRatio": Meaning(guesses=("opt-lr-too-high", "opt-lr-too-low", "opt-lr-zero-or-dead-tail"), symptom=True),
    "AllZero": Meaning(guesses=("grad-none-or-zero-param", "grad-vanishing"), symptom=True),
    "ClassImbalance": Meaning(names=("data-class-imbalance",)),
    "LossNotDecreasing": Meaning(names=("loss-not-decreasing",), symptom=True),
    "Overfit": Meaning(names=("eval-overfit",), symptom=True),
    "Overtraining": Meaning(names=("eval-overfit",), symptom=True),
    "UnchangedTensor": Meaning(guesses=("opt-step-no-effect", "grad-none-or-zero-param", "opt-params-missing"), symptom=True),
    "CheckInputImages": Meaning(names=("data-unnormalized-input",)),
}


def _sizes(case: Case) -> dict[str, tuple[int, int]]:
    """Elements and dimensions of each parameter."""
    return {one["name"]: (one["numel"], len(one["shape"])) for root in case.model.get("roots", []) for one in root["parameters"]}


def _activations(case: Case, *classes: str) -> Iterator[dict[str, Any]]:
    for row in case.layers:
        for facts in row.get("activation", {}).values():
            if facts.get("cls") in classes:
                yield facts


def dead_relu(case: Case) -> bool:
    """threshold_layer 50 %; a unit counts as inactive when it is silent over the whole batch (threshold_inactivity: 1 %)."""
    return any((facts.get("dead") or 0.0) > 0.5 for facts in _activations(case, "ReLU"))


def exploding_tensor(case: Case) -> bool:
    """Any value that is not finite."""
    loss = loss_series(case)
    return (
        any(row.get("nonfinite") for row in case.metrics)
        or any(None in row.get("grad_norm", {}).values() for row in case.layers)
        or (loss is not None and None in loss.values)
    )


def poor_weight_initialization(case: Case) -> bool:
    """threshold 10 (variances of weights), distribution_range 0.001 (5th to 95th percentile of gradients), steps 10, patience 5.

    A variance is read from the norm of a matrix, since weights are drawn around zero; the percentiles of a normal distribution
    with the gradient's root mean square are 3.29 of it apart. One of the three is enough.
    """
    sizes = _sizes(case)
    for row in [row for row in case.layers if row["step"] < 10]:
        variances = [
            norm**2 / sizes[name][0]
            for name, norm in row.get("param_norm", {}).items()
            if norm and name in sizes and sizes[name][1] > 1
        ]
        if variances and max(variances) > 10 * min(variances):
            return True
        spreads = [3.29 * value for _, value in _gradients(row, sizes, matrices=True)]
        if spreads and min(spreads) < 0.001:
            return True
    loss = loss_series(case)
    first = [value for value in loss.values[:10] if value is not None] if loss else []
    return len(first) > 5 and len(first) - 1 - first.index(min(first)) >= 5


def _gradients(row: Any, sizes: dict[str, tuple[int, int]], *, matrices: bool = False) -> Iterator[tuple[str, float]]:
    """Root mean square of each gradient: never below the mean of the absolute values that the rule speaks of."""
    for name, norm in row.get("grad_norm", {}).items():
        if norm is not None and name in sizes and (sizes[name][1] > 1 or not matrices):
            yield name, norm / math.sqrt(max(1, sizes[name][0]))


def saturated_activation(case: Case) -> bool:
    """threshold_layer 50 %. The recorder's limit (within 1e-4 of the bound) is wider than the rule's inputs of 9.5 and 17."""
    return any((facts.get("saturated") or 0.0) > 0.5 for facts in _activations(case, "Tanh", "Sigmoid"))


def vanishing_gradient(case: Case) -> bool:
    """threshold 1e-7 on the mean of the absolute values of a gradient."""
    sizes = _sizes(case)
    return any(value < 1e-7 for row in case.layers for _, value in _gradients(row, sizes))


def weight_update_ratio(case: Case) -> bool:
    """large_threshold 10, small_threshold 1e-8; of a tensor between two steps."""
    ratios = [ratio for row in case.layers for ratio in row.get("update_ratio", {}).values() if ratio is not None]
    return any(ratio > 10 or ratio < 1e-8 for ratio in ratios)


def all_zero(case: Case) -> bool:
    """threshold 100 %, on the collection "gradients" (a collection must be named)."""
    return any(norm == 0 for row in case.layers for norm in row.get("grad_norm", {}).values())


def class_imbalance(case: Case) -> bool:
    """threshold_imbalance 10 after 500 labels. Predictions are not recorded: the second test is left out."""
    counts: Counter[str] = Counter()
    for event in case.events("batch"):
        for facts in event.get("tensors", []):
            histogram = facts.get("histogram") or {}
            if len(facts.get("shape", [])) == 1 and 2 <= histogram.get("distinct", 0) == len(histogram.get("counts", {})):
                counts.update(histogram["counts"])
    return sum(counts.values()) >= 500 and max(counts.values()) > 10 * min(counts.values())


def loss_not_decreasing(case: Case) -> bool:
    """num_steps 10: every tenth step the loss must lie below the one of ten steps ago (diff_percent unset)."""
    loss = loss_series(case)
    checked = [value for value in loss.values[::10] if value is not None] if loss else []
    return any(later >= earlier for earlier, later in pairwise(checked))


def overfit(case: Case) -> bool:
    """ratio_threshold 0.1 of (validation - training) / training, patience 1: more than one evaluation in a row."""
    return (
        _longest(
            [held_out > 1.1 * trained for held_out, trained in _pairs(case) if trained > 0],
        )
        > 1
    )


def overtraining(case: Case) -> bool:
    """patience_train 5, patience_validation 10, delta 0.1: neither loss has improved by delta for that long."""
    train, held_out = loss_series(case), validation_series(case)
    if train is None or held_out is None:
        return False
    return _idle(train.values) >= 5 and _idle(held_out.values) >= 10


def unchanged_tensor(case: Case) -> bool:
    """num_steps 3, rtol 1e-5, on the collection "weights": the relative change of a tensor at three looks in a row."""
    still: Counter[str] = Counter()
    for row in case.layers:
        for name, ratio in row.get("update_ratio", {}).items():
            still[name] = still[name] + 1 if ratio is not None and ratio <= 1e-5 else 0
            if still[name] >= 3:
                return True
    return False


def check_input_images(case: Case) -> bool:
    """threshold_mean 0.2 over 500 images; an image is a batch of shape (B, C, H, W) of floats."""
    images, total = 0, 0.0
    for event in case.events("batch"):
        for facts in event.get("tensors", []):
            shape = facts.get("shape", [])
            if len(shape) == 4 and facts.get("mean") is not None:
                images, total = images + shape[0], total + shape[0] * facts["mean"]
    return images >= 500 and abs(total / images) > 0.2


def _pairs(case: Case) -> list[tuple[float, float]]:
    """Each validation loss with the mean training loss since the one before."""
    train, held_out = loss_series(case), validation_series(case)
    if train is None or held_out is None or train.unit != held_out.unit:
        return []
    found, begin = [], -1
    for step, value in zip(held_out.steps, held_out.values, strict=True):
        since = [one for at, one in zip(train.steps, train.values, strict=True) if begin < at <= step and one is not None]
        if value is not None and since:
            found.append((value, sum(since) / len(since)))
        begin = step
    return found


def _longest(flags: list[bool]) -> int:
    best = now = 0
    for flag in flags:
        now = now + 1 if flag else 0
        best = max(best, now)
    return best


def _idle(values: tuple[float | None, ...]) -> int:
    """Values since the last that lay more than 0.1 below the best before it."""
    best, since = math.inf, 0
    for value in values:
        if value is not None and value < best - 0.1:
            best, since = value, 0
        else:
            since += 1
    return since


# In the order of the document. Left out: TensorVariance (no default), Confusion (needs predictions), NLPSequenceRatio (needs the
# token stream), StalledTraining and SimilarAcrossRuns (no question of one run's data), the rules for XGBoost and for profiles.
RULES: dict[str, Callable[[Case], bool]] = {
    "DeadRelu": dead_relu,
    "ExplodingTensor": exploding_tensor,
    "PoorWeightInitialization": poor_weight_initialization,
    "SaturatedActivation": saturated_activation,
    "VanishingGradient": vanishing_gradient,
    "WeightUpdateRatio": weight_update_ratio,
    "AllZero": all_zero,
    "ClassImbalance": class_imbalance,
    "LossNotDecreasing": loss_not_decreasing,
    "Overfit": overfit,
    "Overtraining": overtraining,
    "UnchangedTensor": unchanged_tensor,
    "CheckInputImages": check_input_images,
}


def said(case: Case) -> list[Finding]:
    """The rules that fire; they have one severity ("IssuesFound")."""
    return [Finding(name, "warning") for name, rule in RULES.items() if rule(case)]


def judge(program: Program, workshop: Workshop) -> Verdict:
    """The recording, read afterwards."""
    case, _, cpu = workshop.recording(program)
    return Verdict("ok", findings=said(Case.open(case)), cpu=cpu)


PEER = Peer(
    name="sagemaker-style",
    title="SageMaker Debugger style (our code)",
    module=None,
    changes="none (Cognate's recorder in place of its hook)",
    references="none",
    reads="the recording: losses, gradients, weights, activations, batches",
    meanings=MEANINGS,
    judge=judge,
)

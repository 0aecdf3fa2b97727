"""Rules in the style of AutoTrainer: our code, its published conditions and thresholds, on Cognate's recordings.

Source: Zhang, Zhai, Ma, Shen, "AutoTrainer: An Automatic DNN Training Problem Detection and Repair System", ICSE 2021, and its
artifact shiningrain/AUTOTRAINER, AutoTrainer/utils/monitor.py (commit 04f4033), whose defaults are beta_1 1e-3, beta_2 1e-4,
beta_3 70, gamma 0.7, zeta 0.03, eta 0.2, delta 0.01, Theta 0.7. Its detection is exclusive: it names one problem.

It watches Keras classifiers, so it always has accuracies. Where a program prints none, the conditions on accuracy are open: the
gradient is judged as if training had not converged, and what speaks of accuracy alone is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from benchmarks.peers.peer import Peer
from benchmarks.peers.verdict import Finding, Meaning, Verdict
from benchmarks.peers.workshop import Program, Workshop
from cognate.case.case import Case
from cognate.case.curves import loss_series, validation_series
from cognate.case.printed import printed_metrics

RATIO_LOW, FIRST_LOW, RATIO_HIGH, DEAD = 1e-3, 1e-4, 70.0, 0.7  # beta_1, beta_2, beta_3, gamma
SWING, SWING_SHARE, SLOW, SATISFIED = 0.03, 0.2, 0.01, 0.7  # zeta, eta, delta, Theta
ABNORMAL_LOSS = 1e5  # of loss_issue

# The second of each pair is what its repair for the problem changes first (repair.py).
MEANINGS = {
    "explode": Meaning(
        names=("grad-exploding", "loss-nonfinite"), guesses=("opt-lr-too-high", "grad-clip-ineffective"), symptom=True
    ),
    "relu": Meaning(names=("model-dead-relu",), symptom=True),
    "vanish": Meaning(names=("grad-vanishing",), guesses=("model-saturated-activation", "model-init-variance"), symptom=True),
    "not_converge": Meaning(
        names=("loss-not-decreasing",), guesses=("opt-lr-too-low", "opt-wrong-optimizer", "model-init-variance"), symptom=True
    ),
    "unstable": Meaning(names=("loss-oscillating",), guesses=("opt-lr-too-high",), symptom=True),
}


@dataclass(frozen=True)
class Accuracies:
    """What the program printed; empty where it printed none."""

    train: list[float]
    test: list[float]

    @property
    def known(self) -> list[list[float]]:
        return [series for series in (self.train, self.test) if series]

    @property
    def slow(self) -> bool:
        """The largest gain between two epochs stays below delta, in all series there are."""
        return bool(self.known) and all(
            len(series) > 1 and max(later - earlier for earlier, later in pairwise(series)) < SLOW for series in self.known
        )

    @property
    def unsatisfied(self) -> bool:
        return any(max(series) < SATISFIED for series in self.known)

    @property
    def swings(self) -> bool:
        """Local maxima and minima, taken in pairs, that lie zeta apart, in a share eta of the epochs."""
        series = self.train or self.test
        inner = list(zip(series, series[1:], series[2:], strict=False))
        high = [b for a, b, c in inner if b >= a and b >= c]
        low = [b for a, b, c in inner if b <= a and b <= c]
        count = sum(top - bottom >= SWING for top, bottom in zip(high, low, strict=False))
        return bool(inner) and count >= SWING_SHARE * len(series)


def accuracies(case: Case) -> Accuracies:
    """Printed accuracies, as shares."""
    found: dict[str, list[float]] = {"train_metric": [], "val_metric": []}
    for name, series in printed_metrics(case).items():
        values = [value for value in series.values if value is not None]
        if "acc" in name and series.role in found and values:
            scale = 100.0 if max(values) > 1.5 else 1.0
            found[series.role] = max(found[series.role], [value / scale for value in values], key=len)
    return Accuracies(found["train_metric"], found["val_metric"])


def said(case: Case) -> list[Finding]:
    """The one problem that it would name, or none."""
    losses = [curve.values for curve in (loss_series(case), validation_series(case)) if curve and curve.values]
    if any(None in values for values in losses) or any((values[-1] or 0.0) >= ABNORMAL_LOSS for values in losses):
        return [Finding("explode", "error")]
    accuracy = accuracies(case)
    if not accuracy.known or accuracy.unsatisfied or accuracy.slow:
        problem = _gradient_problem(case) or ("not_converge" if accuracy.slow else "")
    else:
        problem = "unstable" if accuracy.swings else ""
    return [Finding(problem, "error")] if problem else []


def _gradient_problem(case: Case) -> str:
    """By the norms of the first and the last weight matrix, at each look after the first tenth of the run.

    It looks at the end of epochs. The share of zero gradients is that of elements in tensors whose gradient is zero, or of silent
    ReLU units, whose incoming weights get none.
    """
    parameters = [one for root in case.model.get("roots", []) for one in root["parameters"]]
    sizes = {one["name"]: one["numel"] for one in parameters}
    kernels = [one["name"] for one in parameters if len(one["shape"]) > 1]
    last = case.layers[-1]["step"] if case.layers else 0
    found = set()
    for row in case.layers:
        norms = {name: norm for name, norm in row.get("grad_norm", {}).items() if name in sizes}
        seen = [norm for name in kernels if (norm := norms.get(name)) is not None]
        if row["step"] < 0.1 * last or len(seen) < 2:
            continue
        if None in norms.values():
            return "explode"
        zero = sum(sizes[name] for name, norm in norms.items() if norm == 0) / sum(sizes[name] for name in norms)
        dead = [facts["dead"] for facts in row.get("activation", {}).values() if facts.get("cls") == "ReLU" and "dead" in facts]
        if zero >= DEAD or (dead and min(dead) >= DEAD):
            found.add("relu")
        ratio = seen[0] / seen[-1] if seen[-1] else float("inf") if seen[0] else 1.0
        if ratio > RATIO_HIGH:
            found.add("explode")
        if ratio < RATIO_LOW and seen[0] < FIRST_LOW:
            found.add("vanish")
    return next((problem for problem in ("relu", "explode", "vanish") if problem in found), "")


def judge(program: Program, workshop: Workshop) -> Verdict:
    """The recording, read afterwards."""
    path, _, cpu = workshop.recording(program)
    case = Case.open(path)
    return Verdict("ok", findings=said(case), cpu=cpu, note="accuracy" if accuracies(case).known else "no accuracy printed")


PEER = Peer(
    name="autotrainer-style",
    title="AutoTrainer style (our code)",
    module=None,
    changes="none (Cognate's recorder in place of its callback)",
    references="none",
    reads="the recording: losses, gradients, ReLU activity; printed accuracies",
    meanings=MEANINGS,
    judge=judge,
)

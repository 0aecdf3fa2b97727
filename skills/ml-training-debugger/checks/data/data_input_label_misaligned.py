"""What the model learns does not depend on its input, although it could."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, Skip, rule
from cognate.rules.training import number


def _probes(shifted: float) -> list[dict]:
    result = {"real": 2.29, "shifted": shifted, "label_entropy": 2.3, "output_spread": 0.3, "scale": 0.3}
    return [
        {"probe": "input_dependence", "status": "ok", "step": 200, "result": result},
        {"probe": "overfit_batch", "status": "ok", "step": 40, "result": {"first": 2.3, "last": 0.1, "steps": 60}},
    ]


@rule(
    code="DATA105",
    name="data-input-label-misaligned",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"probe.input_dependence", "probe.overfit_batch"},
    explains={"loss-not-decreasing", "eval-overfit"},
    sources={
        "gap": "faults.md: relative gap below 1 % (our proposal there); 2 % for the noise of one batch",
        "learned": "Karpathy's recipe: a model that learns one batch by heart can fit; half of the loss in 60 steps shows it",
        "steps": "our calibration: before a hundred steps many healthy models have not begun to use their input",
    },
    fires=Example(probes=_probes(2.30)),
    quiet=Example(probes=_probes(4.0)),
)
def data_input_label_misaligned(case: Case, *, gap: float = 0.02, learned: float = 0.5, steps: int = 100) -> Iterator[Said]:
    """Inputs and labels are misaligned: the trained model does as well with the samples dealt to the wrong labels.

    One batch can be learned by heart, so model, loss and gradients work; yet over the data set the input tells nothing about the
    label. Usual places: inputs and labels shuffled by two different permutations, an index that is off by one, a broken join.
    """
    late = [p for p in case.probe("input_dependence") if p["step"] >= steps]
    if not late:
        yield Skip(f"the run ended before step {steps}, too early to ask whether the input is used", "run longer")
        return
    result = late[-1]["result"]
    baseline = result.get("label_entropy") or result.get("target_variance")
    overfit = case.probe("overfit_batch")[-1]["result"]
    if baseline is None:
        yield Skip("the loss has no input-free baseline", "")
        return
    real, shifted = result["real"], result["shifted"]
    blind = shifted - real < gap * max(abs(shifted), 1e-12) and real > 0.9 * baseline
    able = overfit["last"] < learned * overfit["first"]
    if not (blind and able):
        yield Clear(f"loss {number(real)} on the real batch, {number(shifted)} with its samples dealt to other labels")
        return
    yield Finding(
        title="inputs and labels are misaligned: the model reaches the same loss when inputs are paired with the wrong labels "
        f"({number(shifted)} against {number(real)}), although it can learn a single batch by heart",
        proof=Proof.EXPERIMENT,
        evidence=(
            Evidence("loss on the real batch / with samples dealt to other labels", [real, shifted], "far apart", f"step {late[-1]['step']}"),
            Evidence("input-free baseline (label entropy or target variance)", baseline, "above the loss"),
            Evidence("one batch, learned by heart on a copy", f"{number(overfit['first'])} → {number(overfit['last'])}", "falls", "probe"),
        ),
        onset_step=0,
        fix=Fix("Check that one permutation or index is applied to inputs and labels alike; print a few pairs and look at them."),
    )

"""What the model learns does not depend on its input, although it could."""

from collections import Counter
from collections.abc import Iterator
from statistics import median

from cognate.case.curves import loss_series
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.chance import entropy, over_chance
from cognate.rules.pairing import dealt_apart
from cognate.rules.places import index_offset, shuffled_apart
from cognate.rules.training import number, train_losses, travelled


def _parts(shifted: float) -> dict:
    result = {"real": 2.29, "shifted": shifted, "label_entropy": 2.3, "output_spread": 0.3, "scale": 0.3}
    probes = [{"probe": "input_dependence", "status": "ok", "step": step, "result": result} for step in (100, 200)]
    probes.append({"probe": "overfit_batch", "status": "ok", "step": 40, "result": {"first": 2.3, "last": 0.1, "steps": 60}})
    return {"probes": probes, "metrics": [{"step": s, "loss": 2.3, "update_ratio": 1e-2} for s in range(300)]}


@rule(
    code="DATA105",
    name="data-input-label-misaligned",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"probe.input_dependence", "probe.overfit_batch"},
    explains={"loss-not-decreasing", "eval-overfit"},
    sources={
        "gap": "taxonomy: relative gap below 1 % (our proposal there); 2 % for the noise of one batch",
        "learned": "Karpathy's recipe: a model that learns one batch by heart can fit; half of the loss in 60 steps shows it",
        "steps": "our calibration: before a hundred steps many healthy models have not begun to use their input",
        "apart": "our calibration: where the source deals one of them alone; ten epochs of learning by heart open gaps of 12 %, "
        "while a model whose labels fit has gaps of 70 % and more after a hundred steps",
        "chance": "our calibration: held-out losses within 3 % of the best guess that ignores the input; healthy runs fall below "
        "0.9 of it before their first evaluation, by what they learn of samples they see for the first time",
        "heart": "our calibration: a tenth below the best guess that ignores the input is more than the noise of a batch",
        "moved": "our calibration: weights that have travelled less than a tenth of their size have not been trained yet",
    },
    fires=Example(**_parts(2.30)),
    quiet=Example(**_parts(4.0)),
)
def data_input_label_misaligned(
    case: Case,
    *,
    gap: float = 0.02,
    learned: float = 0.5,
    steps: int = 100,
    moved: float = 0.1,
    apart: float = 0.2,
    chance: float = 0.97,
    heart: float = 0.9,
) -> Iterator[Said]:
    """Inputs and labels are misaligned: the trained model does as well with the samples dealt to the wrong labels.

    One batch can be learned by heart, so model, loss and gradients work; yet over the data set the input tells nothing about the
    label. Usual places: inputs and labels shuffled by two different permutations, an index that is off by one, a broken join.
    """
    by_heart = _only_by_heart(case, chance, heart)
    if by_heart is not None:
        yield by_heart
        return
    late = [p for p in case.probe("input_dependence") if p["step"] >= steps and p["result"]["real"] is not None]
    losses = loss_series(case)
    finite = [v for v in losses.values if v is not None] if losses else []
    if not late or len(finite) < steps:
        yield Skip(f"the run ended before step {steps}, too early to ask whether the input is used", "run longer")
        return
    overfit = case.probe("overfit_batch")[-1]["result"]
    able = overfit["last"] is not None and overfit["first"] is not None and overfit["last"] < learned * overfit["first"]
    result = late[-1]["result"]
    baseline = _label_entropy(case) or result.get("label_entropy") or result.get("target_variance")
    level = median(finite[-max(10, len(finite) // 5) :])
    dealt = dealt_apart(case)
    if baseline is None and dealt is None:
        yield Skip("the loss has no input-free baseline", "")
        return
    # The batch of the probe has just been trained on, so the best of the late probes is what counts for the gap.
    gaps = [(p["result"]["shifted"] - p["result"]["real"]) / max(abs(p["result"]["shifted"]), 1e-12) for p in late]
    # A model that used its input at any time has labels that fit it.
    if dealt:
        blind = min(gaps) < gap and max(gaps) < apart
    else:
        blind = min(gaps) < gap and max(gaps) < 3 * gap and level > 0.95 * baseline and abs(level) < 2.0 * abs(baseline)
    if not (blind and able and travelled(case) > moved):
        yield Clear(
            f"loss {number(result['real'])} on the real batch, {number(result['shifted'])} with its samples dealt to other labels"
        )
        return
    yield _finding(case, late[-1], overfit, level, baseline)


def _finding(case: Case, late: dict, overfit: dict, level: float, baseline: float | None) -> Finding:
    """The finding where samples dealt to other labels cost nothing, by the last probe `late`."""
    result = late["result"]
    return Finding(
        title="inputs and labels are misaligned: the model reaches the same loss when inputs are paired with the wrong labels "
        f"({number(result['shifted'])} against {number(result['real'])}), although it can learn a single batch by heart",
        proof=Proof.EXPERIMENT,
        evidence=(
            Evidence(
                "loss on the real batch / with samples dealt to other labels",
                [result["real"], result["shifted"]],
                "far apart",
                f"step {late['step']}",
            ),
            Evidence("training loss / input-free baseline (label entropy or target variance)", [level, baseline], "well below it")
            if baseline is not None
            else Evidence("training loss at the end", level),
            Evidence(
                "one batch, learned by heart on a copy",
                f"{number(overfit['first'])} → {number(overfit['last'])}",
                "falls",
                "probe",
            ),
        ),
        location=Location.of(dealt_apart(case) or _place(case)),
        onset_step=0,
        fix=Fix("Check that one permutation or index is applied to inputs and labels alike; print a few pairs and look at them."),
    )


def _only_by_heart(case: Case, chance: float, heart: float) -> Finding | None:
    """The finding where training samples are learned by heart while nothing that is new was ever told better than by chance."""
    held_out = over_chance(case, grad=False)
    seen = over_chance(case, grad=True)
    if len(held_out) < 3 or not seen:
        return None
    first = min(held_out)
    fresh = [ratio for step, ratio in seen.items() if first / 3 < step <= first]  # mostly samples that it had not met before
    last = [ratio for _, ratio in sorted(seen.items())[-2:]]
    never = all(chance <= ratio <= 3.0 for ratio in held_out.values())
    worse = median(last) < 1 - (1 - heart) / 2 and held_out[max(held_out)] > 2 - heart  # slowly, and new samples tell it plainly
    if not (never and len(fresh) >= 3 and median(fresh) > chance and (median(last) < heart or worse)):
        return None
    place = dealt_apart(case) or _place(case)
    return Finding(
        title="inputs and labels look misaligned: the training loss falls to "
        f"{median(last):.0%} of that of the best guess that ignores the input, by heart alone, while on new samples it never "
        f"got below {min(held_out.values()):.0%}",
        proof=Proof.MEASUREMENT,
        severity=Severity.ERROR if place else Severity.WARNING,
        evidence=(
            Evidence(
                "lowest held-out loss / that of the best constant guess",
                round(min(held_out.values()), 3),
                "below 0.9",
            ),
            Evidence("training loss / that guess, on samples new to it", round(median(fresh), 3), "below 0.9"),
            Evidence("training loss / that guess, at the end", round(median(last), 3), f"above {heart}, or all fall"),
        ),
        location=Location.of(place),
        onset_step=0,
        fix=Fix("Check that one permutation or index is applied to inputs and labels alike; print a few pairs and look at them."),
    )


def _label_entropy(case: Case) -> float | None:
    """Entropy in nats of all class labels seen in training: the loss of the best guess that ignores the input."""
    counts: Counter[str] = Counter()
    for call in train_losses(case, "cross_entropy", "nll_loss"):
        counts.update(call.get("target", {}).get("histogram", {}).get("counts", {}))
    return entropy(counts) if counts else None


def _place(case: Case) -> dict | None:
    """Where the source pairs them wrongly, if it shows: two shuffles of their own, or an index that one of the two moves."""
    sets = sorted({str(event.get("dataset")) for event in case.events("loader")})
    moved = [place for name in sets if (place := index_offset(case, name))]
    return shuffled_apart(case) or (moved[0] if moved else None)

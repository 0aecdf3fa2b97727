"""Running statistics of batch normalisation are not those of the data."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import first_call
from cognate.rules.training import number


def _probe(evaluated: float) -> dict:
    result = {
        "train": 0.31,
        "eval": evaluated,
        "recalibrated": 0.33,
        "modules": ["BatchNorm2d"],
        "momenta": [0.001],
        "updated": 200,
    }
    return {"probe": "mode_gap", "status": "ok", "step": 200, "module": "Net", "result": result}


@rule(
    code="EVAL125",
    name="eval-bn-stats-stale",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"probe.mode_gap"},
    explains={"eval-overfit", "train-eval-gap"},
    sources={
        "worse": "TheDeepChecker, mode switch: a loss that differs by half; twice the loss, because one small batch is noise",
        "grave": "our calibration: at five times the loss no evaluation says anything about the model",
        "absolute": "our calibration: between two losses near zero no ratio counts",
        "settled": "our calibration: three time constants of the usual momentum 0.1 are 30 updates; twice that",
    },
    fires=Example(probes=[_probe(2.9)]),
    quiet=Example(probes=[_probe(0.36)]),
)
def eval_bn_stats_stale(
    case: Case, *, worse: float = 2.0, grave: float = 5.0, absolute: float = 0.2, settled: int = 60
) -> Iterator[Said]:
    """The running statistics of batch normalisation are stale: evaluation mode is far worse on the very batches of training.

    On a copy, the statistics were taken anew from one training batch, and the loss in evaluation mode fell to that in training.
    Usual reasons: a momentum so small that the averages never arrive, statistics frozen or loaded from other data, forwards that
    update them with other inputs (a generator's, a warm-up's), very small batches.
    """
    looked = [p for p in case.probe("mode_gap") if "recalibrated" in p["result"] and p["step"] >= settled]
    if not looked:
        yield Skip("no model with batch normalisation was tried in both modes late enough", "")
        return
    result = looked[-1]["result"]
    trained, evaluated, anew = result["train"], result["eval"], result["recalibrated"]
    stale = [p for p in looked if _stale(p["result"], worse, absolute)]
    if not stale or stale[-1] is not looked[-1] or len(stale) < min(2, len(looked)):
        yield Clear(
            f"one training batch has a loss of {number(trained)} in training mode and {number(evaluated)} in evaluation mode"
        )
        return
    site = first_call(case, "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm", "LazyBatchNorm1d", "LazyBatchNorm2d")
    yield Finding(
        title=f"running statistics of batch normalisation are stale: one batch has a loss of {number(trained)} in training mode, "
        f"{number(evaluated)} in evaluation mode, and {number(anew)} there with statistics taken anew",
        proof=Proof.EXPERIMENT,
        severity=Severity.ERROR if evaluated > grave * abs(trained) else None,
        evidence=(
            Evidence("loss: training mode, evaluation mode, the same with statistics of the batch", [trained, evaluated, anew],
                     "about equal", f"probe, step {looked[-1]['step']}"),
            Evidence("momentum", result.get("momenta", [])),
            Evidence("updates of the statistics", result.get("updated")),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix("Use a momentum near 0.1 and batches of 16 or more, or GroupNorm; or take statistics anew before evaluating."),
    )  # fmt: skip


def _stale(result: dict, worse: float, absolute: float) -> bool:
    trained, evaluated, anew = result["train"], result["eval"], result["recalibrated"]
    cured = anew <= trained + 0.25 * (evaluated - trained)
    return bool(evaluated > worse * abs(trained) and evaluated - trained > absolute and cured)

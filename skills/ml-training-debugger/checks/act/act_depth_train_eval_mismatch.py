"""Evaluation runs another depth than training."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import flows
from cognate.rules.recursion import over_time, recursions
from cognate.rules.training import commonest_site, evaluations, number, short, where

_SITE = {"file": "t.py", "line": 60, "function": "test"}


def _parts(evaluated: int, loss: float) -> dict:
    base = {"kind": "forward", "object": "model#0 Net", "inputs": [{"shape": [16, 10]}]}
    rows = [base | {"step": s, "n": 2 * s, "grad": True, "training": True, "repeats": {"cell": 6}} for s in range(20)]
    rows += [
        base | {"step": s, "n": 2 * s + 1, "grad": False, "training": False, "repeats": {"cell": evaluated}, "site": _SITE}
        for s in (5, 15)
    ]
    differs = [{"name": "rounds", "training": "not given", "evaluation": evaluated}]
    result = {"training": 0.2, "evaluation": loss, "by_mode": False, "differs": differs, "calls": {"cell": [6, evaluated]}}
    return {
        "events": rows,
        "probes": [{"probe": "evaluation_call", "status": "ok", "step": 40, "module": "Net", "result": result}],
    }


@rule(
    code="ACT122",
    name="act-depth-train-eval-mismatch",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.forward"},
    explains={"eval-overfit", "eval-teacher-forcing-gap"},
    sources={
        "least": "our calibration: a part that runs three times in a forward is a recursion, two calls are two uses",
        "rise": "taxonomy, act-depth-train-eval-mismatch: 2 % at two steps more or less; ten times that is worth an error",
        "absolute": "our calibration: between two losses near zero no ratio counts; 0.02 nats is a change of 2 % in a likelihood",
    },
    fires=Example(**_parts(1, 1.9)),
    quiet=Example(**_parts(4, 0.201)),
)
def act_depth_train_eval_mismatch(case: Case, *, least: int = 3, rise: float = 0.2, absolute: float = 0.02) -> Iterator[Said]:
    """The recursion runs to another depth in evaluation than in training, and the model is worse for it.

    A state that is read out after more or fewer steps than it was trained for is not what the readout knows. The same batch is
    tried both ways on a copy: where the loss does not care, the depth is free. Train with the depth of the evaluation, or with a
    random one, or evaluate with the depth, or the halting, of training.
    """
    probes = [p for p in case.probe("evaluation_call") if _depths(case, p["result"], least)]
    if probes:
        result = probes[-1]["result"]
        before, after = result["training"], result["evaluation"]
        if after <= before + max(absolute, 0.1 * abs(before)):
            yield Clear(
                f"at the depth of the evaluation the loss of a batch is {number(after)}, at that of training {number(before)}"
            )
            return
        yield _finding(case, probes[-1], least, Severity.ERROR if after > (1 + rise) * before + absolute else Severity.WARNING)
        return
    yield _by_counts(case, least)


def _depths(case: Case, result: dict, least: int) -> dict[str, list[int]]:
    """Parts of a recursion in depth: how often they run in training and in evaluation.

    A loop as long as its input may go over time; not where an argument was changed and the same targets were scored.
    """
    return {
        name: counts
        for name, counts in result["calls"].items()
        if max(counts) >= least and min(counts) > 0 and (result["differs"] or not any(over_time(case, count) for count in counts))
    }


def _finding(case: Case, probe: dict, least: int, severity: Severity) -> Finding:
    result = probe["result"]
    depths = _depths(case, result, least)
    name = max(depths, key=lambda n: max(depths[n]) / min(depths[n]))
    trained, evaluated = depths[name]
    site = _evaluated_at(case, name, evaluated)
    how = [f"{d['name']}: {d['training']} in training, {d['evaluation']} in evaluation" for d in result["differs"]]
    return Finding(
        title=f"the recursion ({name}) runs {trained} steps in training and {evaluated} in the evaluation at {where(site)}: the "
        f"loss of one batch is {number(result['training'])} as trained, {number(result['evaluation'])} as evaluated",
        proof=Proof.EXPERIMENT,
        severity=severity,
        evidence=(
            Evidence("loss of one training batch: as trained, as evaluated", [result["training"], result["evaluation"]], "equal",
                     f"probe, step {probe['step']}"),
            Evidence(f"steps of {short(sorted(depths))}: training, evaluation", [trained, evaluated], "equal"),
            *(Evidence("what the calls differ in", text) for text in how or ["the mode alone"]),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix(f"Evaluate with the {trained} steps of training, or train with random depths up to those of the evaluation."),
    )  # fmt: skip


def _evaluated_at(case: Case, name: str, count: int) -> dict | None:
    forwards = [e for e in case.events("forward", grad=False) if e.get("site")]
    same = [e for e in forwards if e.get("repeats", {}).get(name, 1) == count]
    return commonest_site(same or forwards)


def _by_counts(case: Case, least: int) -> Said:
    """Without an experiment: counts alone, where they are constant, far apart, and those of a recursion."""
    trained = [e for e in case.events("forward", grad=True) if e.get("repeats") is not None]
    evaluated = [e for e in evaluations(case) if e.get("repeats") is not None and e["object"] in {t["object"] for t in trained}]
    if not trained or not evaluated:
        return Skip("the model was not seen both in training and in evaluation", "")
    recursive = {name.rpartition(".")[0] for graph in flows(case) for name in recursions(graph, least)}
    for name in sorted({n for e in trained for n in e["repeats"]}):
        a = {e["repeats"].get(name, 1) for e in trained}
        b = {e["repeats"].get(name, 1) for e in evaluated}
        depth, other = max(a), min(b)
        far = len(a) == 1 and len(b) == 1 and depth >= least and len(evaluated) >= 2 and not 0.5 < other / depth < 2
        if far and name in recursive and not any(over_time(case, count) for count in (depth, other)):
            site = commonest_site(evaluated)
            return Finding(
                title=f"the recursion ({name}) runs {depth} steps in training and {other} in the evaluation at {where(site)}",
                proof=Proof.MEASUREMENT,
                severity=Severity.WARNING,
                evidence=(Evidence(f"steps of {name}: training, evaluation", [depth, other], "equal", "events.jsonl"),),
                location=Location.of(site),
                onset_step=0,
                fix=Fix(f"Evaluate with the {depth} steps of training, or train with random depths."),
            )
    return Clear("no recursion runs to another depth in evaluation than in training")

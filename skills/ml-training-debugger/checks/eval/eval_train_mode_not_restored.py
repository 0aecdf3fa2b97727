"""After the first evaluation the model stays in eval mode."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import where


def _events(restored: bool) -> list[dict]:
    base = {"kind": "forward", "grad": True, "object": "model#0 Net", "mode_dependent": 2, "site": {"file": "t.py", "line": 4}}
    rows = [base | {"step": s, "n": s, "training": s < 10 or restored} for s in range(20)]
    rows.append(base | {"step": 10, "n": 9.7, "grad": False, "training": False})
    return [
        *rows,
        {"kind": "call", "name": "eval", "step": 10, "n": 9.5, "object": "model#0 Net", "site": {"file": "t.py", "line": 44}},
    ]


@rule(
    code="EVAL102",
    name="eval-train-mode-not-restored",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.forward", "events.call"},
    explains={"eval-overfit", "loss-not-decreasing"},
    core=True,
    sources={"least": "our calibration: three training forwards in eval mode are no accident of order"},
    fires=Example(events=_events(False)),
    quiet=Example(events=_events(True)),
)
def eval_train_mode_not_restored(case: Case, *, least: int = 3) -> Iterator[Said]:
    """model.train() is missing after evaluation: from the first validation on, training runs in eval mode without dropout.

    Dropout is off and batch normalisation uses frozen statistics for the rest of the run; the model trains another objective than
    it did before. A model that is put into eval mode before training starts, or only in parts, is meant to be.
    """
    forwards = [e for e in case.events("forward", grad=True) if e.get("mode_dependent")]
    if not forwards:
        yield Skip("the model has no dropout or batch normalisation", "")
        return
    for name in sorted({e["object"] for e in forwards}):
        mine = [e for e in forwards if e["object"] == name]
        # An eval() that serves an evaluation: a forward without gradient follows before training goes on. A model that is put
        # into eval mode for good (a frozen backbone) is not evaluated right then.
        switched = [c for c in case.events("call", name="eval") if c.get("object") == name and _evaluates(case, c["n"], name)]
        if not switched:
            continue
        later = [e for e in mine if e["n"] > switched[0]["n"]]
        wrong = [e for e in later if not e["training"]]
        if len(wrong) >= least and len(wrong) >= 0.5 * len(later):
            # The last switch before training went on in eval mode is the one that was not taken back.
            last = [c for c in case.events("call", name="eval") if c.get("object") == name and c["n"] < wrong[0]["n"]]
            site = (last or switched)[-1].get("site")
            yield Finding(
                title=f"the model stays in eval mode after the evaluation at {where(site)}: model.train() is not called "
                f"again, so "
                "dropout and batch statistics are off in training",
                proof=Proof.MEASUREMENT,
                evidence=(
                    Evidence(
                        "training forwards in eval mode after the first evaluation",
                        f"{len(wrong)} of {len(later)}",
                        "0",
                        "events.jsonl",
                    ),
                    Evidence("modules that behave differently in training", wrong[0]["mode_dependent"]),
                ),
                location=Location.of(site),
                onset_step=int(wrong[0]["step"]),
                fix=Fix("Call model.train() at the start of each training epoch (or right after the evaluation)."),
            )
            return
    yield Clear("the model is back in training mode after each evaluation")


def _evaluates(case: Case, number: float, name: str) -> bool:
    following = next((e for e in case.events("forward") if e["n"] > number and e["object"] == name), None)
    return following is not None and not following["grad"]

"""The validation set is too small to choose by."""

from collections.abc import Iterator
from math import sqrt

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.reported import phases
from cognate.rules.training import number, where

_SITE = {"file": "t.py", "line": 30, "function": "evaluate"}


def _events(rows: int) -> list[dict]:
    events: list[dict] = []
    for index, right in enumerate((0.60, 0.70, 0.72, 0.74, 0.73, 0.75)):
        value = {"fn": "accuracy", "calls": 2, "sum": 2 * right, "rows": rows, "by_rows": right * rows, "counted": rows}
        value |= {"by_counted": right * rows, "squares": 2 * right * right}
        event = {"kind": "evaluation", "step": 10 * index, "n": 10 * index, "begun": 10 * index - 3, "last": 10 * index - 1}
        events.append(event | {"object": "model#0", "loader": "loader#1", "rows": rows, "values": [value], "site": _SITE})
        saved = {
            "kind": "checkpoint",
            "name": "save",
            "step": 10 * index,
            "n": 10 * index + 1,
            "site": {"file": "t.py", "line": 44},
        }
        events += [saved] if index < 4 else []
    return events


@rule(
    code="EVAL126",
    name="eval-val-too-small",
    severity=Severity.INFO,
    kind=Kind.PRACTICE,
    needs={"events.evaluation", "events.checkpoint"},
    sources={
        "normal": "95 % of a normal distribution (Wald's interval of a share)",
        "most": "our calibration: 200 samples know an accuracy to 7 points, which is what users expect of a choice",
    },
    fires=Example(events=_events(30)),
    quiet=Example(events=_events(3000)),
)
def eval_val_too_small(case: Case, *, normal: float = 1.96, most: int = 200) -> Iterator[Said]:
    """The validation set is too small to choose by: the checkpoints that were compared differ by less than the luck of the draw.

    The interval is that of a share of right answers among so many samples. A best epoch chosen within it is a random one, and its
    result is too good. Use more validation samples, cross-validation, or the mean over several seeds.
    """
    by_set: dict[tuple, list[tuple[dict, dict]]] = {}
    for phase in phases(case):
        for value in phase["values"]:
            if value["fn"] == "accuracy" and value.get("rows"):
                by_set.setdefault((phase.get("object"), phase.get("loader"), value["rows"]), []).append((phase, value))
    sets = [(key[-1], found) for key, found in by_set.items() if len(found) >= 4]
    if not sets:
        yield Skip("no accuracy was measured on the same data four times", "")
        return
    rows, found = min(sets, key=lambda item: item[0])
    kept = {e["step"] for e in case.events("checkpoint") if e.get("name") in ("save", "state_dict", "deepcopy")}
    chosen = sorted(v["by_rows"] / v["rows"] for p, v in found if p["step"] in kept)[-3:]
    if len(chosen) < 3:
        yield Clear("no weights were chosen among several by an accuracy")
        return
    reach = normal * sqrt(max(chosen[-1] * (1 - chosen[-1]), 1.0 / rows) / rows)
    if rows > most or chosen[-1] - chosen[0] > reach:
        yield Clear(f"{rows} validation samples tell accuracies apart that differ by {number(reach)}")
        return
    site = found[-1][0].get("site")
    yield Finding(
        title=f"the validation set is too small to choose by: at {where(site)} {rows} samples know an accuracy to ±{reach:.0%}, "
        f"and the last weights kept differ by {chosen[-1] - chosen[0]:.1%}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("accuracies at which weights were kept, the best ones", [number(c) for c in chosen], "", "events.jsonl"),
            Evidence("95 % interval of the best one", f"±{number(reach)}"),
        ),
        location=Location.of(site),
        onset_step=int(found[0][0]["step"]),
        fix=Fix("Choose by more validation samples, by cross-validation, or by the loss, which has less noise than a share."),
    )

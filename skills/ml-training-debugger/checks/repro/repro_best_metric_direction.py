"""The best checkpoint is the worst one: the comparison points the wrong way."""

import ast
import re
from collections.abc import Iterator

from cognate.case.curves import validation_metric_curves, validation_series
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import number, where

SOURCE = """
for epoch in range(8):
    loss = validate()
    if loss {} best:
        best = loss
        torch.save(model.state_dict(), path)
"""


def _parts(sign: str, kept: list[int]) -> dict:
    site = {"file": "t.py", "line": 6, "function": "<module>"}
    losses = [1.0, 0.8, 0.9, 0.7, 0.6, 1.1, 0.5, 1.2]
    return {
        "metrics": [{"step": 10 * i, "loss": 1.0, "val_loss": value} for i, value in enumerate(losses)],
        "events": [{"kind": "checkpoint", "name": "save", "step": 10 * i, "n": i, "site": site} for i in kept],
        "source": {"t.py": SOURCE.format(sign)},
    }


@rule(
    code="REPRO128",
    name="repro-best-metric-direction",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.checkpoint", "source"},
    explains={"eval-wrong-weights", "eval-early-stop-premature", "eval-overfit"},
    sources={
        "least": "our calibration: five validations, below which the first two or three values decide by chance",
        "better": "our calibration: three later values beat the first, which a comparison the right way would have kept",
    },
    fires=Example(**_parts(">", [0, 5, 7])),
    quiet=Example(**_parts("<", [0, 1, 3, 4, 6])),
)
def repro_best_metric_direction(case: Case, *, least: int = 5, better: int = 3) -> Iterator[Said]:
    """The best checkpoint is kept when the validation gets worse: the comparison points the wrong way.

    Greater for a loss, or a starting value that nothing beats: the file called best then holds the worst weights of the run, or
    the first ones. Told by which validations were followed by a save in the branch of a comparison of losses: those at a new
    worst and none at a new best. An accuracy may rise while the loss rises, so comparisons of other scores are left alone.
    """
    curve = validation_series(case)
    others = [c for c in validation_metric_curves(case) if len(c.values) >= least]
    values = [(s, v) for s, v in zip(curve.steps, curve.values, strict=True) if v is not None] if curve else []
    if curve is None or len(values) < least or curve.unit != "step" or len({s for s, _ in values}) < len(values):
        yield Skip(f"fewer than {least} validation losses are known with their steps", "evaluate more often")
        return
    sites = _compared(case)
    for site, steps in sites:
        kept = {index for index, (step, _) in enumerate(values) if step in steps}
        if not kept or any(_consistent(case, c, steps) for c in others):
            continue
        best, worst = _records(values, lower=True), _records(values, lower=False)
        wrong = kept - {0}
        first_only = kept == {0} and len(best) > better
        if not first_only and not (len(wrong) >= 2 and wrong <= worst and not wrong & best):
            continue
        chosen = max(kept)
        lowest = min(range(len(values)), key=lambda i: values[i][1])
        yield Finding(
            title=f"what is kept as best at {where(site)} is the {'first' if first_only else 'worst'}: its validation loss is "
            f"{number(values[chosen][1])}, while {number(values[lowest][1])} was reached at step {values[lowest][0]}",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence(
                    "validations followed by a save", [f"{number(values[i][1])} at step {values[i][0]}" for i in sorted(kept)][:8]
                ),
                Evidence("new lowest losses that were not kept", len(best - kept), "0", curve.source),
            ),
            location=Location.of(site),
            onset_step=values[min(kept)][0],
            fix=Fix("Turn the comparison round and start from infinity for a loss, from minus infinity for a score."),
        )
        return
    yield Clear(
        f"{len(values)} validation losses; what is kept follows them in the right direction"
        if sites
        else "nothing is kept by comparison"
    )


def _records(values: list[tuple[int, float]], lower: bool) -> set[int]:
    """Indices of the values that beat all before them."""
    found, best = set(), None
    for index, (_, value) in enumerate(values):
        if best is None or (value < best if lower else value > best):
            found.add(index)
            best = value
    return found


def _consistent(case: Case, curve: object, steps: set[int]) -> bool:
    """Whether the saves follow the records of another metric, in either direction: then that is what is compared."""
    pairs = [(s, v) for s, v in zip(curve.steps, curve.values, strict=True) if v is not None]  # type: ignore[attr-defined]
    kept = {index for index, (step, _) in enumerate(pairs) if step in steps}
    return bool(kept - {0}) and kept <= _records(pairs, lower=False)


def _compared(case: Case) -> list[tuple[dict, set[int]]]:
    """Lines that keep weights inside the branch of a comparison, with the steps at which they ran."""
    groups: dict[tuple[str, int], list[dict]] = {}
    for event in case.events("checkpoint"):
        site = event.get("site") or {}
        if event["name"] in ("save", "state_dict", "deepcopy") and site.get("line"):
            groups.setdefault((site["file"], site["line"]), []).append(event)
    found = []
    for (file, line), events in sorted(groups.items()):
        tree = case.trees.get(file)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.If) and node.body[0].lineno <= line <= (node.body[-1].end_lineno or 0) and _orders(node.test):
                found.append((events[0]["site"], {int(e["step"]) for e in events}))
                break
    return found


# What is compared must be said to be a loss: the direction alone can't tell an accuracy that rises beside it.
LOSSY = re.compile(r"loss|nll|err|mse|mae|perplex|ppl|_ce\b", re.IGNORECASE)


def _orders(test: ast.expr) -> bool:
    """Whether a test compares two losses by size: `val_loss > best`, not `epoch % 5 == 0` nor `step > 0` nor a score."""
    return any(
        isinstance(n, ast.Compare)
        and LOSSY.search(ast.unparse(n))
        and isinstance(n.ops[0], (ast.Gt, ast.Lt, ast.GtE, ast.LtE))
        and not any(isinstance(side, ast.Constant) for side in (n.left, *n.comparators))
        for n in ast.walk(test)
    )

"""The reported result is not the mean over the evaluated samples."""

import ast
from collections.abc import Callable, Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.reported import SHOWN, Reported, means, reported
from cognate.rules.source import function_at
from cognate.rules.training import number, where

_CLOSE_TO_RIGHT = 0.8  # share of the printed values that a right mean must explain
_MEANS = {"": "mean", "exp": "e to the mean", "root": "root of the mean", "percent": "mean in percent", "rest": "1 - mean"}


def _per_sample(v: dict, phase: dict) -> float:
    return float(v["sum"] / v["rows"])


def _per_batch(v: dict, phase: dict) -> float:
    return float(v["by_rows"] / v["calls"])


def _of_batches(v: dict, phase: dict) -> float:
    return float(v["sum"] / v["calls"])


def _full_batches(v: dict, phase: dict) -> float:
    return float(v["by_rows"] / (v["calls"] * phase["first"]))


# Ways to get it wrong: what was done, how it is said, what to do instead.
_WRONG: dict[str, tuple[Callable[[dict, dict], float], str, str]] = {
    "per sample": (
        _per_sample,
        "a sum of batch means, divided by the number of samples",
        "Multiply each batch mean by the samples in the batch before adding it up, or divide by the number of batches.",
    ),
    "per batch": (
        _per_batch,
        "a sum over samples, divided by the number of batches",
        "Divide a sum over samples by the number of samples, len(loader.dataset), not by len(loader).",
    ),
    "full batches": (
        _full_batches,
        "a sum over samples, divided as if every batch were full",
        "Count the samples that were evaluated, total += len(x), and divide by that count.",
    ),
    "of batches": (
        _of_batches,
        "a mean of batch means, in which the samples of a small batch weigh more",
        "Weight each batch by its number of samples (or scored tokens): total += loss * n; count += n; total / count.",
    ),
}
_AVERAGED = {
    "exp": ("a mean over batches of e to their loss", "Average the loss over all tokens first, and take exp() of that one mean."),
    "root": (
        "a mean over batches of their roots",
        "Average the squared error over all samples first, and take the root of that.",
    ),
}


def _example(divisor: int) -> Example:
    events: list[dict] = []
    for epoch in range(1, 4):
        total = 40.0 / epoch
        value = {"fn": "mse_loss", "file": "t.py", "line": 20, "calls": 5, "sum": total, "rows": 300, "by_rows": 60 * total}
        value |= {"counted": 300, "by_counted": 60 * total, "exp": 9e9, "root": 1.0, "squares": 1.0}
        phase = {"kind": "evaluation", "step": 10 * epoch, "n": 10 * epoch + 3, "begun": 10 * epoch, "last": 10 * epoch + 1}
        site = {"file": "t.py", "line": 20, "function": "evaluate"}
        events.append(phase | {"batches": 5, "rows": 300, "first": 64, "smallest": 44, "values": [value], "site": site})
        text = f"epoch {epoch} val mse {total / divisor:.4f}"
        events.append({"kind": "print", "step": 10 * epoch, "n": 10 * epoch + 2, "text": text})
    return Example(events=sorted(events, key=lambda e: e["n"]))


@rule(
    code="EVAL121",
    name="eval-metric-aggregation",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.evaluation", "events.print"},
    explains={"eval-val-better-than-train"},
    sources={
        "least": "taxonomy, eval-metric-aggregation: 0.5 %; 5 % because a mean of batch means with one short batch is usual and "
        "seldom decides anything",
        "grave": "our calibration: from a fifth on the number is no longer the result, whatever it is compared with",
        "digits": "our calibration: six printed digits in all do not agree with a formula by chance",
    },
    fires=_example(300),
    quiet=_example(5),
)
def eval_metric_aggregation(case: Case, *, least: float = 0.05, grave: float = 0.2, digits: int = 6) -> Iterator[Said]:
    """The reported validation result is averaged wrongly: it is not the mean over the evaluated samples.

    The printed numbers are compared with what the evaluated batches amount to. Usual places: a sum of batch means divided by the
    number of samples, a sum over samples divided by the number of batches, a mean of batch means whose last batch is short, a
    mean of perplexities. Batches of equal size and small differences do no harm and are left alone.
    """
    compared, right = 0, []
    explained: set[str] = set()
    suspects = []
    for series, _, points in reported(case):
        compared += 1
        for key in sorted({(v["fn"], v.get("line")) for p in points for v in p.phase["values"]}, key=str):
            pairs = [(p, v) for p in points for v in p.phase["values"] if (v["fn"], v.get("line")) == key and "sum" in v]
            if len(pairs) < len(points) or not _means_only(case, key):
                continue
            if _is_right(pairs):
                explained.add(series.name)
                right.append(f"printed {series.name.replace('_', ' ')} is the mean {key[0]} over the evaluated samples")
            elif sum(p.digits for p, _ in pairs) >= digits and len(pairs) >= 2:
                suspects += [(series, pairs, *found) for found in _wrong(pairs)]
    suspects = [s for s in suspects if s[0].name not in explained and s[2] >= least]
    if suspects:
        yield _finding(case, *max(suspects, key=lambda s: s[2]), grave)
    elif not compared:
        yield Skip("no printed validation result follows an evaluation that was seen", "print the result after each evaluation")
    else:
        yield Clear(right[0] if right else "no printed validation result is known to be averaged wrongly")


def _means_only(case: Case, key: tuple) -> bool:
    """Whether the values of this loss are means over their batch; a sum asks for other divisors."""
    calls = [c for c in case.events("loss_call", grad=False, fn=key[0]) if (c.get("site") or {}).get("line") == key[1]]
    return all(c.get("reduction", "mean") == "mean" for c in calls)


def _is_right(pairs: list) -> bool:
    """Whether a mean over samples or over scored elements explains most of the printed values."""
    return any(
        sum(name in (m := means(v)) and p.shows(shown(m[name])) for p, v in pairs) >= _CLOSE_TO_RIGHT * len(pairs)
        for name in ("samples", "elements")
        for shown in SHOWN.values()
    )


def _wrong(pairs: list) -> Iterator[tuple[float, str, str, float]]:
    """Wrong ways that explain every printed value: how far off, what was done, the fix, the right value of the last one."""
    right = _right(pairs[-1][1])
    for way, (formula, said, fix) in _WRONG.items():
        for name, shown in SHOWN.items():
            # The root of a mean of means is what its own entry says.
            plain = way != "of batches" or name not in ("exp", "root")
            if plain and all(p.shows(shown(formula(v, p.phase))) for p, v in pairs):
                yield _off(pairs, shown), said, fix, shown(right)
    for name, (said, fix) in _AVERAGED.items():
        if all(p.shows(v[name] / v["calls"]) for p, v in pairs):
            yield _off(pairs, SHOWN[name]), said, fix, SHOWN[name](right)


def _right(value: dict) -> float:
    # Where elements are not scored equally often (padding), they are what the mean is over.
    return float(value["by_counted"] / value["counted"])


def _off(pairs: list[tuple[Reported, dict]], shown: Callable[[float], float]) -> float:
    apart = []
    for point, value in pairs:
        best = min((shown(m) for m in means(value).values()), key=lambda m: abs(m - point.value))
        apart.append(max(0.0, abs(point.value - best) - point.tolerance) / max(abs(best), 1e-12))
    return median(apart)


def _finding(case: Case, series, pairs: list, off: float, said: str, fix: str, right: float, grave: float) -> Finding:  # type: ignore[no-untyped-def]
    point, value = pairs[-1]
    site = _place(case, point.phase, value)
    name = series.name.replace("_", " ")
    return Finding(
        title=f"the reported {name} is averaged wrongly at {where(site)}: {point.text} is {said}; over all samples it is "
        f"{number(right)}",
        proof=Proof.MEASUREMENT,
        severity=None if off >= grave else Severity.WARNING,
        evidence=(
            Evidence(f"printed {name}", [p.text for p, _ in pairs[:8]], "", "stdout"),
            Evidence("the mean over the samples", [number(_right(v)) for _, v in pairs[:8]], "what is printed", "events.jsonl"),
            Evidence("how far the printed values are off", f"{off:.1%}", "0 %"),
            Evidence("samples, batches, smallest batch", [point.phase["rows"], value["calls"], point.phase["smallest"]]),
        ),
        location=Location.of(site),
        onset_step=int(pairs[0][0].phase["step"]),
        fix=Fix(fix),
    )


def _place(case: Case, phase: dict, value: dict) -> dict | None:
    """The line that adds a batch up: that of the loss if it is one, else the first of the evaluating function."""
    site = {"file": value["file"], "line": value["line"]} if value.get("line") else phase.get("site")
    function = function_at(case, site["file"], site["line"]) if site else None
    tree = function or (case.trees.get(site["file"]) if site else None)
    sums = [n for n in ast.walk(tree) if isinstance(n, ast.AugAssign) and isinstance(n.op, ast.Add)] if tree and site else []
    here = [n for n in sums if n.lineno <= site["line"] <= (n.end_lineno or 0)] if site else []
    after = [n for n in sums if site and n.lineno > site["line"]]
    for node in here or after[:1]:
        return {"file": site["file"], "line": node.lineno, "function": getattr(function, "name", "<module>")}  # type: ignore[index]
    return site

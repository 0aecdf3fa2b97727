"""The recorded training loop as rules ask about it: windows between optimizer steps, calls in order, loss calls, layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from cognate.case.case import Case

Row = dict[str, Any]


@dataclass
class Window:
    """What happened, in order, from the end of one optimizer step to the end of the next."""

    step: int
    calls: list[Row] = field(default_factory=list)

    def names(self) -> list[str]:
        """Names of the calls, in order."""
        return [call["name"] for call in self.calls]

    @property
    def deferred(self) -> bool:
        """Whether the step computes its own gradients: a closure that runs forward, backward and clipping inside it.

        LBFGS and Lightning's automatic optimization do; then the order of the calls says nothing. A closure that is handed over
        for form's sake (Lightning's manual optimization) follows the backward, as any step does.
        """
        steps = self.named("step")
        backwards = [call["n"] for call in self.named("backward")]
        return bool(steps and steps[0].get("closure") and not any(n < steps[0]["n"] for n in backwards))

    def named(self, *names: str) -> list[Row]:
        """The calls with one of these names, in order."""
        return [call for call in self.calls if call["name"] in names]


@lru_cache(maxsize=2)  # a dozen rules ask for the same case
def windows(case: Case) -> list[Window]:
    """The windows that were looked at closely and ended in an optimizer step, in order. The result is shared: read only."""
    found: dict[int, Window] = {}
    for call in case.events("call"):
        step = int(call["step"])
        found.setdefault(step, Window(step)).calls.append(call)
    return [found[step] for step in sorted(found) if "step" in found[step].names()]


def share(flags: Iterable[bool]) -> float:
    """The share of true values; 0 for none at all."""
    values = list(flags)
    return sum(values) / len(values) if values else 0.0


def train_losses(case: Case, *functions: str) -> list[Row]:
    """Loss calls with gradient, of the given functions (all where none is given)."""
    return [row for row in case.events("loss_call", grad=True) if not functions or row["fn"] in functions]


def evaluations(case: Case) -> list[Row]:
    """Root forwards without gradient that belong to evaluations, not to training steps.

    A teacher, a frozen backbone or a generator runs without gradient in nearly every window between its first and its last;
    an evaluation runs in few of them (bound: 60 % of the windows looked at, our calibration).
    """
    forwards = case.events("forward")
    # Windows chosen without regard to evaluations: an evaluation opens the hooks of its own window, so others would mislead.
    looked = [window.step for window in windows(case)] or sorted({e["step"] for e in forwards if e["grad"]})
    places: dict[tuple[Any, Any, Any], list[Row]] = {}
    for event in forwards:
        if not event["grad"]:
            site = event.get("site") or {}
            places.setdefault((event.get("object"), site.get("file"), site.get("line")), []).append(event)
    kept: list[Row] = []
    for events in places.values():
        steps = {e["step"] for e in events}
        between = [s for s in looked if min(steps) <= s <= max(steps)]
        if len(between) < 5 or share(s in steps for s in between) < 0.6:
            kept.extend(events)
    return sorted(kept, key=lambda e: e.get("n", 0))


def travelled(case: Case, optimizer: str | None = None) -> float:
    """How far the weights moved over the run (or by one optimizer), in their own size: the sum of the (sampled) update ratios.

    An upper bound, as updates do not all point the same way; a small value is therefore certain.
    """
    taken = [r for r in case.metrics if optimizer is None or r.get("optimizer") == optimizer]
    rows = sorted((int(r["step"]), moved) for r in taken if (moved := r.get("update_ratio")) is not None)
    if not rows:
        return 0.0
    total, last = 0.0, max(case.steps if optimizer is None else int(taken[-1]["step"]), rows[-1][0] + 1)
    for (step, ratio), following in zip(rows, [*(s for s, _ in rows[1:]), last], strict=True):
        total += ratio * max(1, following - step)
    return total


def commonest_site(rows: Iterable[Mapping[str, Any]]) -> Row | None:
    """The call site that most of `rows` share."""
    sites: Counter[tuple[str, int, str]] = Counter()
    for row in rows:
        site = row.get("site")
        if site:
            sites[(site.get("file"), site.get("line"), site.get("function"))] += 1
    if not sites:
        return None
    (file, line, function), _ = max(sites.items(), key=lambda item: (item[1], -item[0][1]))
    return {"file": file, "line": line, "function": function}


def where(site: Mapping[str, Any] | None) -> str:
    """`file:line`, or a phrase where the site is not known."""
    return f"{site['file']}:{site['line']}" if site and site.get("line") else "a line that was not recorded"


def parameters(case: Case) -> list[Row]:
    """Every parameter of every root, with the root's class under `root` and whether the root was loaded under `loaded`.

    Where there are several roots, names begin with the root's class, as they do in the trace and in layers.jsonl.
    """
    return [
        {**parameter, "name": prefix + parameter["name"], "root": root.get("cls"), "loaded": root.get("loaded", False)}
        for prefix, root in _prefixed(case)
        for parameter in root.get("parameters", [])
    ]


def _prefixed(case: Case) -> list[tuple[str, Row]]:
    roots = [cast(Row, root) for root in case.model.get("roots", [])]
    several = sum(bool(root.get("parameters")) for root in roots) > 1
    return [(f"{root.get('cls')}." if several else "", root) for root in roots]


def starved(case: Case, least: int) -> list[Row]:
    """Trainable parameters that an optimizer owns and that never had a gradient in `least` or more windows."""
    return [
        p
        for p in parameters(case)
        if p.get("requires_grad") and p.get("grad") == "none" and p.get("optimizer") and p.get("windows", 0) >= least
    ]


def modules(case: Case) -> dict[str, Row]:
    """Modules by dotted name, which begins with the root's class where there are several roots."""
    return {prefix + m["name"]: m for prefix, root in _prefixed(case) for m in root.get("modules", [])}


def short(names: list[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def number(value: float | None) -> str:
    """A number for a sentence: four significant digits."""
    return "not finite" if value is None else f"{value:.4g}"

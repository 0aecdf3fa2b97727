"""The words and marks that every renderer for people uses for the same thing."""

from __future__ import annotations

from typing import Any

from cognate.diagnosis.model import Diagnosed, Diagnosis, EvidenceLine, NotChecked, Place, View

PASSED, FAILED, WARNED, NOT_CHECKED = "✓", "✗", "!", "–"

STATUS_MARK = {"healthy": PASSED, "unhealthy": FAILED, "warning": WARNED, "inconclusive": NOT_CHECKED}
FEATURE_MARK = {"shown": PASSED, "contradicted": FAILED, "open": NOT_CHECKED}
PROOF = {
    "experiment": "proved by experiment",
    "measurement": "measured in the run",
    "source": "read from the source",
    "inference": "inferred from the curves",
}


def value(item: Any) -> str:
    """A measured value, short enough to read."""
    if isinstance(item, bool) or item is None:
        return {True: "yes", False: "no", None: "none"}[item]
    if isinstance(item, float):
        return f"{item:.4g}"
    if isinstance(item, (list, tuple)):
        return ", ".join(value(part) for part in item)
    return str(item)


def evidence(line: EvidenceLine) -> str:
    """One fact: what, value, what was expected, where it was recorded."""
    beside = [f"expected {line.expected}" if line.expected else "", line.from_]
    text = "; ".join(part for part in beside if part)
    return f"{line.what}: {value(line.value)}" + (f" ({text})" if text else "")


WHO = {"command": "the command", "python -c": "`python -c`", "pip list": "`pip list`"}


def view(item: View) -> str:
    """What one way of asking says about a module."""
    if item.who == "pip list":
        told = f"lists {item.version}" if item.version else "lists no distribution that brings it"
    elif item.fails and not item.sees:
        told = f"finds nothing ({item.fails})"
    elif not item.sees:
        told = "finds nothing"
    else:
        told = f"loads {item.sees}" + (f" ({item.version})" if item.version else "")
        told += f", and {item.fails}" if item.fails else ""
    return told + (f"; its handler says: {item.says}" if item.says else "")


def viewpoint(item: View) -> str:
    """From where it asks: the interpreter and, where the path matters, its first entry."""
    return item.python + (f", path[0] {item.first}" if item.first else "")


def contested(diagnosis: Diagnosis) -> dict[str, list[View]]:
    """The views by module."""
    modules: dict[str, list[View]] = {}
    for item in diagnosis.views:
        modules.setdefault(item.module, []).append(item)
    return modules


def place(where: Place | None) -> str:
    """File and line, function, module: as much as is known."""
    if where is None:
        return ""
    at = f"{where.file}:{where.line}" if where.file and where.line else where.file or ""
    symbol = where.symbol if where.symbol not in (None, "<module>") else None
    return ", ".join(
        part for part in (at, f"in {symbol}" if symbol else "", f"module {where.module}" if where.module else "") if part
    )


def sureness(finding: Diagnosed) -> str:
    """How sure the finding is and what that rests on."""
    if finding.confidence is None:
        return f"{PROOF[finding.proof]}; confidence unmeasured"
    return f"{PROOF[finding.proof]}; confidence {finding.confidence:.0%} ({finding.confidence_basis})"


def mark(finding: Diagnosed) -> str:
    """✗ for a root cause or an error, ! for the rest of what fired."""
    root = finding.kind == "cause" and finding.explained_by is None and finding.severity != "info"
    return FAILED if root or finding.severity == "error" else WARNED


def unexplained(diagnosis: Diagnosis) -> list[Diagnosed]:
    """Symptoms that nothing found accounts for."""
    return [f for f in diagnosis.findings if f.kind == "symptom" and f.explained_by is None and f.severity != "info"]


def others(diagnosis: Diagnosis) -> list[Diagnosed]:
    """What fired and is neither a root cause nor an unexplained symptom."""
    first = [*diagnosis.root_causes, *unexplained(diagnosis)]
    return [finding for finding in diagnosis.findings if not any(finding is item for item in first)]


def reasons(diagnosis: Diagnosis) -> list[tuple[str, str, list[NotChecked]]]:
    """What was not checked, by reason and remedy, the biggest group first."""
    groups: dict[tuple[str, str], list[NotChecked]] = {}
    for item in diagnosis.not_checked:
        groups.setdefault((item.reason, item.how), []).append(item)
    ordered = sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return [(reason, how, items) for (reason, how), items in ordered]


def ran(diagnosis: Diagnosis) -> str:
    """One clause that says what was looked at: steps, seconds, how it ended."""
    facts = diagnosis.subject.facts
    steps, unit = diagnosis.subject.steps, (facts.get("log") or {}).get("step_unit", "step")
    counted = plural(steps, "optimizer step") if unit == "step" else f"logged up to {unit} {steps:,}"
    parts = [counted] if steps else []
    if facts.get("seconds") is not None:
        parts.append(f"{float(facts['seconds']):.1f} s")
    end = facts.get("exit") or {}
    if end.get("signal"):
        parts.append(f"killed by {end['signal']}")
    elif end.get("code") is not None:
        parts.append(f"exit code {end['code']}")
    crash = facts.get("exception") or {}
    if crash.get("type"):
        parts.append(f"ended by {crash['type']}")
    return ", ".join(parts)


def logged(diagnosis: Diagnosis) -> list[str]:
    """Of a foreign log: what its columns were taken for, then what of it could not be used; nothing of any other subject."""
    facts = diagnosis.subject.facts
    columns: dict[str, str] = facts.get("columns") or {}
    if not columns:
        return []
    roles = [f"{role} = {name}" for name, role in columns.items() if not role.startswith("user.")]
    others = len(columns) - len(roles)
    parts = [*roles, *([plural(others, "column") + " under their own names"] if others else [])]
    hint = "" if {"loss", "val_loss"} & set(columns.values()) else "; none is the loss: if one is, say --columns loss=NAME"
    lines = [f"read as {facts.get('origin')}: {', '.join(parts)}{hint}"]
    return lines + [f"not whole: {error}" for error in (facts.get("integrity") or {}).get("errors", ())]


def plural(count: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

"""Writes a new skill: the smallest one that loads, fires and stays quiet."""

from __future__ import annotations

import re
from pathlib import Path

from cognate.discovery import NAME
from cognate.errors import UsageError

_SKILL = """---
name: {name}
description: Checks training runs for what went wrong in our own projects. Use when judging a run of this team.
compatibility: Needs the cognate command (distribution cognate-ml) and Python 3.10 or newer.
metadata:
  version: "0.1.0"
---

# {title}

What these checks look for and why, in the words of the people who will read it.

Run them with `cognate run SCRIPT`; `cognate rule {rule}` explains the first one.
"""

_RULE = '''"""{code}: an example to change. One rule is one file."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Severity, rule


@rule(
    code="{code}",
    name="{rule}",
    severity=Severity.WARNING,
    kind=Kind.SYMPTOM,
    needs={{"metrics.loss"}},
    sources={{"limit": "example value: replace it by what your healthy runs end with"}},
    fires=Example(metrics=[{{"step": 1, "loss": 9.0}}, {{"step": 2, "loss": 12.5}}]),
    quiet=Example(metrics=[{{"step": 1, "loss": 9.0}}, {{"step": 2, "loss": 0.7}}]),
)
def {function}(case: Case, *, limit: float = 10.0) -> Iterator[Finding | Clear]:
    """The last loss is above the limit that healthy runs stay below.

    Say here why that hurts and where the cause usually lies: this text is the rule's manual.
    """
    losses = [(row["step"], row["loss"]) for row in case.metrics if row.get("loss") is not None]
    if not losses:
        return
    step, last = losses[-1]
    if last <= limit:
        yield Clear(f"last loss {{last:.4g}}, limit {{limit:g}}")
        return
    yield Finding(
        title=f"the loss ends at {{last:.4g}}, above {{limit:g}}",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("last loss", last, expected=f"<= {{limit:g}}", source=f"metrics, step {{step}}"),),
        fix=Fix("Look at the first step where the loss left the healthy range"),
    )
'''


def write_skill(folder: Path, name: str) -> str:
    """Write a skill called `name` into the new `folder`; return its rule's name. Raises UsageError where it cannot."""
    if not NAME.fullmatch(name) or len(name) > 64:
        raise UsageError(f"{name!r} cannot name a skill: use lowercase words joined by hyphens, such as my-team-checks.")
    if folder.exists():
        raise UsageError(f"{folder} exists already: choose another name.")
    family = re.sub(r"[^A-Z]", "", name.upper()) or "SKILL"
    rule = f"{name}-final-loss-high"
    values = {
        "name": name,
        "title": name.replace("-", " ").capitalize(),
        "rule": rule,
        "code": f"{family}101",
        "function": "final_loss_high",
    }
    checks = folder / "checks" / family.lower()
    try:
        checks.mkdir(parents=True)
        (folder / "SKILL.md").write_text(_SKILL.format(**values), encoding="utf-8")
        (checks / f"{rule.replace('-', '_')}.py").write_text(_RULE.format(**values), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be made ({error.strerror}): choose another place with --in DIR.") from error
    return rule

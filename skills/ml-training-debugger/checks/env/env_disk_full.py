"""ENV146 env-disk-full."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around

_ROW = {"kind": "disk", "free": 1 << 20, "folder": "/work"}


@rule(
    code="ENV146",
    name="env-disk-full",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed"},
    sources={"free_mb": "our calibration: a checkpoint of a 100M-parameter model with Adam state is over 1 GB"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": [{**_ROW, "free": 50 << 30}]}),
)
def env_disk_full(case: Case, *, free_mb: int = 500) -> Iterator[Said]:
    """The disk of the working folder is nearly full: checkpoints and caches will be cut short.

    A truncated checkpoint is often noticed only when it is loaded.
    """
    for item in around(case, "disk"):
        if item["free"] < free_mb << 20:
            yield Finding(
                title=f"the disk of {item['folder']} has {item['free'] >> 20} MB left",
                proof=Proof.MEASUREMENT,
                evidence=(Evidence("free", f"{item['free'] >> 20} MB", f">= {free_mb} MB", item["folder"]),),
                fix=Fix("Free some space, or write checkpoints and caches to another disk."),
            )
    yield Clear("disk space enough for a checkpoint")

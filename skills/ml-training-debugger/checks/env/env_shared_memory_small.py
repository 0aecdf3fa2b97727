"""ENV144 env-shared-memory-small."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, place_of

_ROW = {
    "kind": "shm",
    "bytes": 67108864,
    "file": "/work/train.py",
    "line": 9,
    "text": "DataLoader(d, num_workers=4)",
    "count": 4,
}


@rule(
    code="ENV144",
    name="env-shared-memory-small",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed"},
    sources={"limit_mb": "our calibration: twice Docker's default of 64 MB"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": [{**_ROW, "bytes": 8 << 30}]}),
)
def env_shared_memory_small(case: Case, *, limit_mb: int = 128) -> Iterator[Said]:
    """/dev/shm is small, and worker processes of a DataLoader pass their batches through it.

    Docker gives 64 MB by default; a worker then dies with "Bus error (insufficient shared memory)".
    """
    for item in around(case, "shm"):
        if item["bytes"] <= limit_mb << 20:
            yield Finding(
                title=f"/dev/shm holds {item['bytes'] >> 20} MB, and {item['count']} workers pass their batches "
                f"through shared memory",
                proof=Proof.MEASUREMENT,
                evidence=(
                    Evidence("size of /dev/shm", f"{item['bytes'] >> 20} MB", f"> {limit_mb} MB"),
                    Evidence("workers", item["text"]),
                ),
                fix=Fix("Start the container with --ipc=host or --shm-size=8g, or set num_workers=0."),
                location=place_of(case, item),
            )
    yield Clear("no workers, or shared memory enough for them")

"""ENV145 env-open-files-low."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around

_ROW = {"kind": "open-files", "limit": 64, "workers": 4}


@rule(
    code="ENV145",
    name="env-open-files-low",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed"},
    sources={
        "with_workers": "the usual default of Linux shells",
        "without_workers": "our calibration: importing torch and datasets opens tens",
    },
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": [{**_ROW, "limit": 1024}]}),
)
def env_open_files_low(case: Case, *, with_workers: int = 1024, without_workers: int = 128) -> Iterator[Said]:
    """The limit of open files is low: "Too many open files", often from a DataLoader worker or a dataset of many shards.

    Each worker, shard and shared tensor takes descriptors (ulimit -n).
    """
    for item in around(case, "open-files"):
        if item["limit"] < (with_workers if item["workers"] else without_workers):
            yield Finding(
                title=f"only {item['limit']} files may be open at once (ulimit -n), for {item['workers']} worker "
                f"processes and their data",
                proof=Proof.MEASUREMENT,
                evidence=(Evidence("limit of open files", item["limit"], f">= {with_workers}"),),
                fix=Fix(
                    "Raise the limit: `ulimit -n 65536`.",
                    ("Or torch.multiprocessing.set_sharing_strategy('file_system').",),
                    ("ulimit -n 65536",),
                ),
            )
    yield Clear("open files enough")

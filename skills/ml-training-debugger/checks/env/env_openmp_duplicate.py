"""ENV140 env-openmp-duplicate."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around

_ROW = {
    "kind": "openmp-duplicate",
    "variable": "KMP_DUPLICATE_LIB_OK",
    "value": "TRUE",
    "text": "",
    "files": ["/a/libiomp5.so", "/b/libiomp5.so"],
}


@rule(
    code="ENV140",
    name="env-openmp-duplicate",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_openmp_duplicate(case: Case) -> Iterator[Said]:
    """Several copies of the OpenMP runtime (libiomp5, libomp) are loaded into one process: "OMP: Error #15".

    KMP_DUPLICATE_LIB_OK=TRUE silences the error, not its cause: wrong results, deadlocks and slow threads remain possible.
    """
    for item in around(case, "openmp-duplicate"):
        hushed = f"; KMP_DUPLICATE_LIB_OK={item['value']} hides the error" if item["value"] else ""
        yield Finding(
            title=f"{len(item['files'])} copies of the OpenMP runtime are loaded into one process (OMP: Error #15){hushed}",
            proof=Proof.MEASUREMENT,
            evidence=tuple(Evidence("OpenMP runtime", file) for file in item["files"]),
            fix=Fix(
                "Take torch, numpy and the like from one source (all from pip or all from conda), so that they share one runtime."
            ),
        )
    yield Clear("one OpenMP runtime at most")

"""ENV152 env-driver-too-old."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, place_of

_ROW = {
    "kind": "driver-old",
    "variable": "",
    "driver": "470.82",
    "lowest": "525.60",
    "cuda": "12.1",
    "version": "2.4.0",
    "file": "/work/train.py",
    "line": 3,
    "text": "x.cuda()",
}


@rule(
    code="ENV152",
    name="env-driver-too-old",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_driver_too_old(case: Case) -> Iterator[Said]:
    """The NVIDIA driver is older than the CUDA version that torch was built for needs.

    torch says "The NVIDIA driver on your system is too old" or finds no GPU at all. Drivers of one CUDA major version serve all
    of its minor versions.
    """
    for item in around(case, "driver-old"):
        yield Finding(
            title=f"the NVIDIA driver {item['driver']} is too old for torch {item['version']}, whose CUDA "
            f"{item['cuda']} needs {item['lowest']} or newer",
            proof=Proof.MEASUREMENT,
            evidence=(Evidence("driver", item["driver"], f">= {item['lowest']}", "/proc/driver/nvidia/version"),),
            fix=Fix("Update the driver, or install a torch built for an older CUDA."),
            location=place_of(case, item),
        )
    yield Clear("the driver serves the CUDA version of torch")

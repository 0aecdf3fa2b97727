"""ENV138 env-gpu-missing."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, place_of, shown

_ROW = {"kind": "gpu-missing", "variable": "", "file": "/work/train.py", "line": 7, "text": "model.cuda()"}


@rule(
    code="ENV138",
    name="env-gpu-missing",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_gpu_missing(case: Case) -> Iterator[Said]:
    """The script asks for an NVIDIA GPU without testing whether there is one, and this machine shows none.

    A container started without `--gpus all`, a node without a card, or a driver that is not loaded look the same: there are no
    /dev/nvidia* devices.
    """
    for item in around(case, "gpu-missing"):
        yield Finding(
            title=f"line {item['line']} asks for a GPU ({item['text']}), and this machine has none: no /dev/nvidia* device",
            proof=Proof.MEASUREMENT,
            evidence=(Evidence("asks for a GPU", item["text"], source=f"{shown(case, item['file'])}:{item['line']}"),),
            fix=Fix(
                "Test first: `device = 'cuda' if torch.cuda.is_available() else 'cpu'`.",
                ("In a container: start it with --gpus all.",),
            ),
            location=place_of(case, item),
        )
    yield Clear("the script asks for no GPU that is not there")

"""ENV136 env-gpu-hidden."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, located, shown

_USE = {"file": "/work/train.py", "line": 7, "text": "model.cuda()"}
_ROW = {"kind": "gpu-hidden", "variable": "CUDA_VISIBLE_DEVICES", "value": "", "text": "it hides every GPU", "use": _USE}


@rule(
    code="ENV136",
    name="env-gpu-hidden",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-gpu-missing"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_gpu_hidden(case: Case) -> Iterator[Said]:
    """CUDA_VISIBLE_DEVICES hides every GPU (empty, -1, or a number that does not exist), and the script asks for one.

    torch then says "No CUDA GPUs are available" or "CUDA error: invalid device ordinal", although nvidia-smi shows the card.
    """
    for item in around(case, "gpu-hidden"):
        use = item["use"]
        by = f"{shown(case, item['file'])}:{item['line']}" if item.get("file") else "the environment"
        yield Finding(
            title=f"CUDA_VISIBLE_DEVICES={item['value']!r} hides every GPU, and line {use['line']} asks for one: {use['text']}",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence("CUDA_VISIBLE_DEVICES", repr(item["value"]), "unset, or the number of a GPU", by),
                Evidence("asks for a GPU", use["text"], source=f"{shown(case, use['file'])}:{use['line']}"),
            ),
            fix=Fix("Unset it, or name a GPU: `unset CUDA_VISIBLE_DEVICES`.", (), ("unset CUDA_VISIBLE_DEVICES",)),
            location=located(case, item.get("file") or use["file"], item.get("line") or use["line"]),
        )
    yield Clear("no GPU that the script asks for is hidden")

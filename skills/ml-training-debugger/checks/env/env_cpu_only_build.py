"""ENV137 env-cpu-only-build."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, pip_install, place_of, shown

_ROW = {
    "kind": "cpu-build",
    "variable": "",
    "version": "2.4.0+cpu",
    "gpus": 0,
    "demands": True,
    "file": "/work/train.py",
    "line": 7,
    "text": "model.cuda()",
}


@rule(
    code="ENV137",
    name="env-cpu-only-build",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-gpu-missing"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_cpu_only_build(case: Case) -> Iterator[Said]:
    """The installed torch is a CPU-only build, and the script asks for a GPU: "Torch not compiled with CUDA enabled".

    The wheel was taken from the CPU index, or from an index without a CUDA build for this platform. With a test
    (`if torch.cuda.is_available()`) the run goes on silently on the CPU.
    """
    for item in around(case, "cpu-build"):
        command = pip_install(case, "--force-reinstall", "torch", "--index-url", "https://download.pytorch.org/whl/cu126")
        yield Finding(
            title=f"torch {item['version']} is a CPU-only build (not compiled with CUDA), and line {item['line']} "
            f"asks for a GPU: {item['text']}",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence("torch", f"{item['version']}, CUDA None", "a build with CUDA"),
                Evidence("asks for a GPU", item["text"], source=f"{shown(case, item['file'])}:{item['line']}"),
                Evidence("NVIDIA GPUs on this machine", item["gpus"]),
            ),
            fix=Fix(
                f"Install a build with CUDA: `{command}`."
                if item["gpus"]
                else "Use the CPU, `torch.device('cuda' if torch.cuda.is_available() else 'cpu')`, or install a build with CUDA.",
                (),
                (command,) if item["gpus"] else (),
            ),
            location=place_of(case, item),
            severity=Severity.ERROR if item["demands"] else Severity.WARNING,
        )
    yield Clear("torch is not a CPU-only build where a GPU is asked for")

"""ENV139 env-library-path."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around

_ROW = {
    "kind": "library-path",
    "variable": "LD_LIBRARY_PATH",
    "value": "/opt/cuda/lib64",
    "text": "/opt/cuda/lib64 holds its own libcudnn.so.8",
    "library": "/opt/cuda/lib64/libcudnn.so.8",
    "wheel": "/py/site-packages/nvidia/cudnn/lib/libcudnn.so.9",
}


@rule(
    code="ENV139",
    name="env-library-path",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_library_path(case: Case) -> Iterator[Said]:
    """LD_LIBRARY_PATH (or LD_PRELOAD) puts other libraries before those that the wheels bring.

    The loader searches it before the wheel's own folder: an older cuDNN, NCCL or libstdc++ is then loaded into torch, with
    "undefined symbol", "version GLIBCXX_3.4.xx not found" or wrong results.
    """
    for item in around(case, "library-path"):
        fatal = bool(item.get("fatal"))
        yield Finding(
            title=f"{item['variable']} overrides the libraries of the wheels: {item['text']}",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence(item["variable"], item["value"]),
                Evidence("found first", item["library"]),
                *((Evidence("the wheel's own", item["wheel"]),) if item["wheel"] else ()),
            ),
            fix=Fix(f"Unset it for this run: `unset {item['variable']}`.", (), (f"unset {item['variable']}",)),
            severity=Severity.ERROR if fatal else Severity.WARNING if item["wheel"] else Severity.INFO,
        )
    yield Clear("no variable puts other libraries before those of the wheels")

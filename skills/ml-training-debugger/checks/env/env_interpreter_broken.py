"""ENV114 env-interpreter-broken."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule

_FAULT = {"kind": "dangling", "executable": "/work/.venv/bin/python", "target": "/usr/bin/python3.9", "prefix": "/work/.venv"}


@rule(
    code="ENV114",
    name="env-interpreter-broken",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script", "environment"},
    explains={"env-import-failed", "env-import-missing"},
    fires=Example(environment={"startup": [_FAULT], "python": {"executable": "/work/.venv/bin/python"}}),
    quiet=Example(environment={"startup": [], "python": {"executable": "/work/.venv/bin/python", "version": "3.11.7"}}),
)
def env_interpreter_broken(case: Case) -> Iterator[Said]:
    """The interpreter itself does not start: its base was removed or upgraded, it is no program, or files are missing.

    A virtual environment holds only links to the Python that made it. After `brew upgrade`, `apt upgrade`, a removed pyenv
    version or a copy to another machine these links lead nowhere.
    """
    for fault in case.environment.get("startup", []):
        if fault.get("kind") in ("dangling", "silent", "start", "answer", "interpreter") and fault.get("executable"):
            yield _finding(fault)
        elif fault.get("kind") == "kernel-missing":
            yield Finding(
                title=f"{fault['file']} asks for the kernel {fault['target']}, and no kernelspec of that name is installed here",
                proof=Proof.MEASUREMENT,
                fix=Fix("Choose another kernel, or install this one: `PYTHON -m ipykernel install --user --name NAME`."),
            )
    python = case.environment.get("python", {})
    yield Clear(f"{python.get('executable', 'the interpreter')} starts and answers (Python {python.get('version', '?')})")


def _finding(fault: dict[str, str]) -> Finding:
    executable, prefix = fault["executable"], fault.get("prefix", "")
    how = {
        "dangling": f"it is a link to {fault.get('target', '')}, which does not exist",
        "silent": "it does not answer",
        "start": f"it cannot be started ({fault.get('text', '')})",
    }.get(fault.get("kind", ""), f"it fails with: {fault.get('text', '')}")
    if fault.get("home") and fault.get("home_exists") == "no":
        how += f"; the Python that the environment was made from ({fault['home']}) is gone"
    what = "The virtual environment is broken" if prefix else "The interpreter is broken"
    command = f"python3 -m venv --clear {shlex.quote(prefix)}" if prefix else ""
    return Finding(
        title=f"{what}: {executable} does not work, {how}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("interpreter", executable, source=fault.get("chosen_by", "")),
            *((Evidence("made from (pyvenv.cfg, home)", fault["home"], "an existing folder"),) if fault.get("home") else ()),
        ),
        fix=Fix(
            f"Recreate the environment, then install your requirements into it: `{command}`."
            if command
            else "Install Python anew, or name another interpreter by --python.",
            (f"`{shlex.quote(executable)} -m pip install -r requirements.txt`",) if command else (),
            (command,) if command else (),
        ),
    )

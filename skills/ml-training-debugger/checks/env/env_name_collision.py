"""ENV113 env-name-collision."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import imported_at, pip_install, python, troubles

_TROUBLE = {
    "kind": "collision",
    "name": "opencv-python",
    "version": "4.9",
    "location": "/py/site-packages",
    "imports": ["cv2"],
    "requires": "opencv-python-headless",
    "found": "4.8",
    "files": ["cv2/__init__.py"],
}


@rule(
    code="ENV113",
    name="env-name-collision",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-name-missing"},
    fires=Example(environment={"troubles": [_TROUBLE]}),
    # A namespace package: several distributions share the folder by design, and none installs its __init__.py.
    quiet=Example(environment={"troubles": [], "distributions": [{"name": "google-auth", "version": "2"}]}),
)
def env_name_collision(case: Case) -> Iterator[Said]:
    """Two distributions installed the same module: the files of one overwrote those of the other.

    Usual pairs: opencv-python and opencv-python-headless, jwt and PyJWT, a fork beside its original. What is loaded is a
    mixture, and uninstalling one breaks the other.
    """
    for trouble in troubles(case, "collision"):
        name, other = trouble["name"], trouble["requires"]
        module = trouble["imports"][0] if trouble["imports"] else name
        remove = f"{python(case)} -m pip uninstall -y {name} {other}"
        install = pip_install(case, f"{name}=={trouble['version']}")
        yield Finding(
            title=f"{name} {trouble['version']} and {other} {trouble['found']} both install {module}: one overwrote the other",
            proof=Proof.MEASUREMENT,
            evidence=(Evidence("listed in the RECORD of both", trouble["files"][0], "one owner", trouble["location"]),),
            fix=Fix("Remove both, then install the one that you want.", (f"`{remove}`", f"`{install}`"), (remove, install)),
            location=imported_at(case, module),
        )
    yield Clear("no module is installed by two distributions")

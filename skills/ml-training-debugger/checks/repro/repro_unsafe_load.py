"""A file was loaded in a way that runs whatever code it contains."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import where


def _events(weights_only: bool | None, written: bool) -> list[dict]:
    site = {"file": "t.py", "line": 9, "function": "load"}
    load = {"kind": "checkpoint", "name": "load", "n": 2, "file": "/m/a.pt", "weights_only": weights_only, "site": site}
    return [{"kind": "checkpoint", "name": "save", "n": 1, "file": "/m/a.pt"}, load] if written else [load]


@rule(
    code="REPRO126",
    name="repro-unsafe-load",
    severity=Severity.INFO,
    kind=Kind.PRACTICE,
    needs={"events.checkpoint"},
    fires=Example(events=_events(False, False)),
    quiet=Example(events=_events(True, False)),
)
def repro_unsafe_load(case: Case) -> Iterator[Said]:
    """A checkpoint is loaded with weights_only=False: unpickling it runs whatever code the file contains.

    Harmless for a file that this very run wrote; a file from elsewhere can do anything. `weights_only=True`, the default since
    torch 2.6, loads tensors and plain containers alone; what else a checkpoint needs can be allowed by name with
    `torch.serialization.add_safe_globals`.
    """
    loads = case.events("checkpoint", name="load")
    if not loads:
        yield Skip("no file was read with torch.load", "")
        return
    written = {event.get("file") for event in case.events("checkpoint", name="save")}
    open_ = [e for e in loads if _runs_code(case, e) and e.get("file") is not None and e.get("file") not in written]
    if not open_:
        yield Clear(f"{len(loads)} files were read, with weights_only or written by this run")
        return
    site = open_[0].get("site")
    yield Finding(
        title=f"torch.load at {where(site)} reads a file that this run did not write, and would run any code in it",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("weights_only", str(open_[0].get("weights_only")), "True", "events.jsonl"),),
        location=Location.of(site),
        onset_step=int(open_[0].get("step", 0)),
        fix=Fix("Load with torch.load(path, weights_only=True)."),
    )


def _runs_code(case: Case, load: dict) -> bool:
    given = load.get("weights_only")
    if given is not None:
        return not given
    version = [int(part) for part in str(case.info.get("versions", {}).get("torch", "9.9")).split(".")[:2] if part.isdigit()]
    return version < [2, 6]

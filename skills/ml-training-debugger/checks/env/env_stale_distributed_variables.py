"""ENV135 env-stale-distributed-variables."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, place_of

_ROW = {
    "kind": "stale-distributed",
    "variable": "RANK, WORLD_SIZE",
    "values": {"RANK": "1", "WORLD_SIZE": "4"},
    "missing": ["MASTER_ADDR", "MASTER_PORT"],
}


@rule(
    code="ENV135",
    name="env-stale-distributed-variables",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_stale_distributed_variables(case: Case) -> Iterator[Said]:
    """Variables of a distributed run (RANK, WORLD_SIZE, MASTER_ADDR) are set, but no launcher started this command.

    They were exported once by hand or by another job. init_process_group, Accelerate and the trainers obey them: the process
    waits for ranks that nobody started, or fails for want of an address.
    """
    for item in around(case, "stale-distributed"):
        values = " ".join(f"{name}={value}" for name, value in item["values"].items())
        names = list(item["values"])
        waits = f" and {', '.join(item['missing'])} is not" if item["missing"] else ""
        yield Finding(
            title=f"Stale variables of a distributed run are set ({values}{waits}), and no launcher started this "
            f"command: it waits for other ranks",
            proof=Proof.MEASUREMENT,
            evidence=(Evidence("environment", values, "unset outside torchrun, accelerate launch or srun"),),
            fix=Fix(
                f"Unset them: `unset {' '.join(names)}`.",
                ("Or start the run by `torchrun --nproc-per-node N SCRIPT`.",),
                (f"unset {' '.join(names)}",),
            ),
            location=place_of(case, item),
        )
    yield Clear("no variable of another distributed run is set")

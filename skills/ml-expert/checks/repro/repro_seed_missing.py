"""The script sets no seed."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule


@rule(
    code="REPRO301",
    name="repro-seed-missing",
    severity=Severity.INFO,
    kind=Kind.PRACTICE,
    needs={"run", "events.call"},
    fires=Example(info={"origin": "live"}, events=[{"kind": "call", "name": "step", "step": 0}]),
    quiet=Example(
        info={"origin": "live", "seeds": [{"library": "torch", "seed": 0}]}, events=[{"kind": "call", "name": "step", "step": 0}]
    ),
)
def repro_seed_missing(case: Case) -> Iterator[Said]:
    """No seed is set, so no run can be repeated: initial weights, order of data and dropout differ each time.

    A difference between two runs then may be the change or the chance. Seed torch once at the start (and random and numpy
    where they are used); several seeds on purpose are better still.
    """
    seeds = case.info.get("seeds", [])
    libraries = sorted({str(s.get("library")) for s in seeds})
    if "torch" in libraries:
        yield Clear("seeded: " + ", ".join(f"{s.get('library')}={s.get('seed')}" for s in seeds[:4]))
        return
    yield Finding(
        title="the script never seeds torch: its results cannot be repeated",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("libraries that were seeded", libraries or "none", "torch", "case.json"),),
        fix=Fix("Call torch.manual_seed(SEED) before the model and the data are made."),
    )

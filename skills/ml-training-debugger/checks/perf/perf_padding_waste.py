"""Most of what the model computes on is padding."""

from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import where


def _events(padded: float) -> list[dict]:
    target = {"shape": [512], "padding": {"id": 0, "padded": padded}}
    loader = {"kind": "loader", "object": "loader#0", "step": 0, "n": 1, "site": {"file": "t.py", "line": 20}}
    calls = [
        {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "step": s, "n": 2 + s, "target": target} for s in range(8)
    ]
    return [loader, *calls]


@rule(
    code="PERF123",
    name="perf-padding-waste",
    severity=Severity.INFO,
    kind=Kind.CAUSE,
    needs={"events.loss_call"},
    sources={
        "waste": "half of the tokens: the bound of SageMaker Debugger's padding rule",
        "least": "our calibration: four batches, since a single one may hold an outlier",
    },
    fires=Example(events=_events(0.7)),
    quiet=Example(events=_events(0.2)),
)
def perf_padding_waste(case: Case, *, waste: float = 0.5, least: int = 4) -> Iterator[Said]:
    """More than half of each batch is padding: most of the computation is spent on positions that count for nothing.

    Sequences are padded to the longest of the batch, or of all data. Batches of similar lengths or packing give the time back.
    """
    shares = [
        e["target"]["padding"]["padded"] for e in case.events("loss_call", grad=True) if (e.get("target") or {}).get("padding")
    ]
    shares = [share for share in shares if isinstance(share, float)]
    if len(shares) < least:
        yield Skip("no padded token batches were recognised", "")
        return
    typical = median(shares)
    if typical <= waste:
        yield Clear(f"{typical:.0%} of the token positions are padding")
        return
    loaders = case.events("loader")
    site = loaders[0].get("site") if loaders else None
    yield Finding(
        title=f"{typical:.0%} of the token positions of a batch are padding ({where(site)}): most work is on nothing",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("padded positions, median over batches", f"{typical:.0%}", f"<= {waste:.0%}", "events.jsonl"),
            Evidence("batches looked at", len(shares), ""),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix("Batch sequences of similar length and pad to the longest of the batch, or pack several into one row."),
    )

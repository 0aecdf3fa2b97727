"""Batches come sorted by label."""

from collections import Counter
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import train_losses, where


def _parts(sorted_: bool) -> dict:
    rows = []
    for step in range(20):
        counts = {str(step // 5): 32} if sorted_ else {str(c): 8 for c in range(4)}
        histogram = {"distinct": len(counts), "total": 32, "counts": counts}
        call = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "step": step, "classes": 4}
        rows.append(call | {"target": {"shape": [32], "histogram": histogram}, "site": {"file": "t.py", "line": 30}})
    return {"events": rows}


@rule(
    code="DATA101",
    name="data-shuffle-missing",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.loss_call"},
    explains={"loss-not-decreasing", "loss-oscillating", "eval-overfit", "loss-diverging", "data-input-label-misaligned"},
    core=True,
    sources={
        "purity": "our calibration: with 16 or more samples, a random batch of balanced classes never has nine tenths in one",
        "balance": "our calibration: one class over 60 % in all is imbalance, not order",
    },
    fires=Example(**_parts(True)),
    quiet=Example(**_parts(False)),
)
def data_shuffle_missing(case: Case, *, purity: float = 0.9, balance: float = 0.6) -> Iterator[Said]:
    """The training data is not shuffled: batches hold a single class, because the data set is sorted by label.

    Each stretch of batches teaches one class and unlearns the others; the loss is low within a stretch and jumps at its end.
    Usual place: a DataLoader without shuffle=True over data that was built class by class.
    """
    looked = [c for c in train_losses(case) if len(c.get("target", {}).get("shape", [])) == 1 and c["target"].get("histogram")]
    looked = [c for c in looked if c["target"]["histogram"]["total"] >= 8 and c.get("classes", 2) >= 2]
    if len(looked) < 6:
        yield Skip("no batches of class labels were seen in the loss", "")
        return
    overall: Counter[str] = Counter()
    pure = []
    for call in looked:
        histogram = call["target"]["histogram"]
        overall.update(histogram["counts"])
        pure.append(max(histogram["counts"].values()) / histogram["total"])
    top = max(overall.values()) / sum(overall.values())
    typical = sum(pure) / len(pure)
    if typical < purity or top > balance or len(overall) < 2:
        yield Clear(f"the commonest label holds {typical:.0%} of a batch and {top:.0%} of all")
        return
    loaders = [e for e in case.events("loader") if not e.get("shuffles")]
    iterated = {c["object"] for c in case.events("call", name="loader_iter")}
    loader = next((e for e in loaders if e["object"] in iterated), None)
    site = loader.get("site") if loader else looked[0].get("site")
    what = f"the DataLoader at {where(site)} does not shuffle" if loader else "the batches are not shuffled"
    yield Finding(
        title=f"{what}: the data is sorted by label and {typical:.0%} of each batch is a single class",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("mean share of the commonest label in a batch", round(typical, 3), f"about {top:.2f}", "events.jsonl"),
            Evidence("distinct labels in all", len(overall)),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix("Pass shuffle=True to the training DataLoader, or permute the samples at the start of each epoch."),
    )

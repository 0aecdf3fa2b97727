"""The shift of the targets crosses from one row of the batch into the next."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import commonest_site, train_losses, where


def _events(crossing: bool) -> list[dict]:
    base = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "site": {"file": "t.py", "line": 40}}
    found = {"crossing": {"how": "flat", "wraps": False, "rows": 16, "first": 1.0, "input": 0}} if crossing else {}
    target = {"offsets": {"0": {"1": 1.0}}} | found
    return [base | {"step": s, "target": target, "input": {"shape": [16 * 12 - 1, 50]}} for s in range(6)]


def _given_labels(case: Case, call: dict) -> bool:
    """Whether what the targets were laid over has ignored places: labels that the model was given, whose rows end in -100."""
    index = call["target"]["crossing"].get("input", 0)
    inputs: list[dict] = next((e.get("inputs", []) for e in case.events("forward", grad=True)), [])
    return index < len(inputs) and (inputs[index].get("min") or 0) < 0


@rule(
    code="LOSS123",
    name="loss-cross-row-shift",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"events.loss_call"},
    sources={
        "calls": "the agreement is exact; three batches rule out one special batch",
        "alike": "our calibration: pieces of a stream begin with anything; rows of which 90 % begin alike are separate texts",
    },
    fires=Example(events=_events(True)),
    quiet=Example(events=_events(False)),
)
def loss_cross_row_shift(case: Case, *, calls: int = 3, alike: float = 0.9) -> Iterator[Said]:
    """The targets are shifted after the batch was flattened: the end of each row is asked for the first token of the next row.

    One target a row is noise, and the model learns to expect whatever begins a row. Shift within rows (`[:, 1:]`), then flatten.
    Rows that continue one another, as consecutive pieces of one text in one batch, are left alone.
    """
    looked = train_losses(case, "cross_entropy", "nll_loss")
    hits = [c for c in looked if c.get("target", {}).get("crossing") and not _given_labels(case, c)]
    if len(hits) < calls or len(hits) < 0.8 * len(looked):
        yield Clear(f"{len(looked)} losses: no target is the first token of the row after its own")
        return
    facts = [c["target"]["crossing"] for c in hits]
    rolled = all(f["how"] == "roll" and f["wraps"] for f in facts)
    apart = sum(f["first"] for f in facts) / len(facts) >= alike or any(e.get("shuffles") for e in case.events("loader"))
    if not rolled and not (facts[0]["how"] == "flat" and apart):
        yield Skip("rows that continue one another in one batch would look the same", "")
        return
    site = commonest_site(hits)
    rows = facts[0]["rows"]
    yield Finding(
        title=f"the targets at {where(site)} are shifted across rows: the last token of each of {rows} rows is to predict the "
        f"first of the next row",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("batches with flattened, then shifted targets", f"{len(hits)} of {len(looked)}", "0", "events.jsonl"),
            Evidence("rows that begin with the commonest first token", f"{facts[0]['first']:.0%}"),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix("Shift in two dimensions, then flatten: logits[:, :-1] against tokens[:, 1:]."),
    )

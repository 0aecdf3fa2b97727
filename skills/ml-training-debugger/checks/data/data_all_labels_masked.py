"""Batches in which no label is left."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.targets import audits
from cognate.rules.training import commonest_site, train_losses, where
from cognate.rules.vocabulary import cut_to, masked_by_place


def _calls(ignored: float) -> list[dict]:
    base = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "backwards": 1, "site": {"file": "t.py", "line": 40}}
    value = None if ignored == 1 else 2.0
    return [base | {"step": s, "value": value, "target": {"shape": [64], "ignored": ignored}} for s in range(6)]


@rule(
    code="DATA124",
    name="data-all-labels-masked",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.loss_call"},
    explains={
        "loss-nonfinite", "loss-not-decreasing", "loss-diverging", "loss-nan-hidden-by-logger", "opt-lr-too-high",
        "opt-lr-too-low", "grad-exploding", "data-truncation-drops-target", "data-pad-is-eos-masked", "grad-none-or-zero-param",
    },
    sources={
        "sometimes": "our calibration: a rare batch without labels that the script leaves out, or that adds 0, costs little",
    },
    fires=Example(events=_calls(1.0)),
    quiet=Example(events=_calls(0.85)),
)  # fmt: skip
def data_all_labels_masked(case: Case, *, sometimes: float = 0.1) -> Iterator[Said]:
    """All labels of a batch are masked: no target is left that counts, so the mean over them is 0/0, or the loss is a constant 0.

    One such batch makes every weight NaN. Usual places: rows cut to a length that the prompts fill, so that no answer is left;
    a label mask that covers the whole row; an ignore_index that is the only label of a batch.
    """
    calls = [c for c in train_losses(case, "cross_entropy", "nll_loss") if "ignored" in (c.get("target") or {})]
    calls = [c for c in calls if 0 not in c["target"].get("shape", [])]
    if not calls:
        yield Skip("no loss with class labels was seen", "")
        return
    empty = [c for c in calls if c["target"]["ignored"] == 1.0]
    # What never reached backward did no harm: the script looked, and left the batch out.
    harmful = [c for c in empty if c.get("backwards") and c.get("value") is None]
    sites = {(c.get("site") or {}).get("line") for c in empty}
    always = len(empty) >= 2 and all(c in empty for c in calls if (c.get("site") or {}).get("line") in sites)
    if not harmful and not always and len(empty) <= sometimes * len(calls):
        yield Clear(f"in {len(calls) - len(empty)} of {len(calls)} loss calls that were looked at some label counts")
        return
    site = commonest_site(empty)
    audited = audits(case)
    widths = {row["width"] for row in audited.rows} if audited else set()
    place = (cut_to(case, max(widths)) if widths else None) or masked_by_place(case) or site
    become = "which makes the loss NaN" if any(c.get("value") is None for c in empty) else "so the loss is 0 there"
    yield Finding(
        title=f"{'every batch' if always else f'{len(empty)} of {len(calls)} batches'} that reached the loss at {where(site)} "
        f"had no label left that counts, {become}",
        proof=Proof.MEASUREMENT,
        severity=None if harmful or always else Severity.WARNING,
        evidence=(
            Evidence("loss calls in which every target is ignore_index", f"{len(empty)} of {len(calls)}", "0", "events.jsonl"),
            Evidence("the loss there", empty[0].get("value") if empty[0].get("value") is not None else "not finite", "finite"),
            *((Evidence("tokens in a row", max(widths), "enough for prompt and answer"),) if widths else ()),
        ),
        location=Location.of(place),
        onset_step=int(empty[0]["step"]),
        fix=Fix(
            "Keep at least one label in each batch: allow longer rows or cut the prompt from its left, drop rows without a label "
            "left, and check that the label mask ends where the answer begins."
        ),
    )

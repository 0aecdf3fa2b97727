"""Padding counts in the loss."""

import ast
from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import commonest_site, train_losses, where


def _calls(share: float) -> list[dict]:
    target = {"padding": {"id": 0, "share_of_counted": share, "target": 0, "constant": 1.0, "padded": 0.4}}
    base = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "site": {"file": "t.py", "line": 40}, "target": target}
    return [base | {"step": s} for s in range(6)]


@rule(
    code="DATA104",
    name="data-pad-in-loss",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.loss_call"},
    explains={"loss-not-decreasing"},
    sources={
        "share": "taxonomy, data-pad-in-loss: above 1 % of the targets; 10 % leaves room for one end-of-text per row where "
        "pad = eos",
    },
    fires=Example(events=_calls(0.4)),
    quiet=Example(events=_calls(0.0)),
)
def data_pad_in_loss(case: Case, *, share: float = 0.10) -> Iterator[Said]:
    """Padding positions count in the loss: ignore_index does not cover the padding id, so the model learns to predict padding.

    The loss falls fast to a level that the share of padding sets, and says nothing about the real tokens. Usual places: labels
    padded with 0 or the pad id while ignore_index is -100, a loss without a mask.
    """
    looked = [c for c in train_losses(case, "cross_entropy", "nll_loss") if c.get("target", {}).get("padding")]
    if not looked:
        yield Skip("no padded batches of tokens were seen in the loss", "")
        return
    facts = [c["target"]["padding"] for c in looked]
    level = median(f["share_of_counted"] for f in facts)
    same = median(f["constant"] for f in facts)
    # An unreduced loss may be masked afterwards; that cannot be seen at the call.
    masked_later = all(c.get("reduction") == "none" for c in looked)
    if level < share or same < 0.9 or masked_later:
        yield Clear(f"padding makes up {level:.1%} of the targets that count")
        return
    site = commonest_site(looked)
    pad = facts[0]["target"]
    lost = median(f.get("ignored_real", 0.0) for f in facts)
    # Rows of one length that end in a filler which the model is meant to produce look the same; code that pads says so.
    named = any(
        isinstance(n, (ast.Name, ast.arg, ast.keyword, ast.Attribute)) and "pad" in _name(n)
        for t in case.trees.values()
        for n in ast.walk(t)
    )
    yield Finding(
        title=f"padding counts in the loss at {where(site)}: {level:.0%} of the targets that count are the padding label "
        f"{pad}, which "
        + (
            "ignore_index does not cover (a mismatch: it ignores a real label instead)"
            if lost > 0.01
            else "ignore_index does not cover"
        ),
        proof=Proof.MEASUREMENT,
        severity=None if named or not case.trees else Severity.INFO,
        evidence=(
            Evidence("share of counted targets on padded positions", round(level, 4), "0", "events.jsonl"),
            Evidence("ignore_index in use", looked[0].get("ignore_index", -100), str(pad)),
            *((Evidence("share of real targets that ignore_index leaves out", round(lost, 3), "0"),) if lost else ()),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix(f"Pass ignore_index={pad}, or set the labels of padded positions to -100."),
    )


def _name(node: ast.AST) -> str:
    for attribute in ("id", "attr", "arg"):
        value = getattr(node, attribute, None)
        if isinstance(value, str):
            return value.lower()
    return ""

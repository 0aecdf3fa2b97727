"""The end token is never scored."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.targets import ENOUGH_ROWS, NEARLY_ALL, Audited, audits, commonest, configured, whole
from cognate.rules.training import share, where
from cognate.rules.vocabulary import END, masked_by_value, named_ids, padded_with_end, padding_named


def _parts(pad: int) -> dict:
    lengths = [3, 4, 5, 6] * 2
    ended = pad != 1
    last = [4 + n - (not ended) for n in lengths]
    audit = {"offset": 1, "width": 11, "length": 11, "pad": pad, "pad_scored": 0, "begin": [0] * 8, "first": [5] * 8}
    audit |= {"last": last, "scored": [n - 4 for n in last], "closes": [1] * 8 if ended else [20 + n for n in range(8)]}
    audit |= {"after": [pad] * 8, "end": last, "ends": [1] * 8}
    call = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "classes": 40, "site": {"file": "t.py", "line": 9}}
    tokens = {"vocab_size": 40, "eos_token_id": 1, "pad_token_id": pad}
    return {
        "events": [call | {"step": s, "target": {"audit": audit}} for s in range(3)],
        "model": {"roots": [{"label": "model#0", "tokens": tokens}]},
    }


@rule(
    code="DATA123",
    name="data-pad-is-eos-masked",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.loss_call"},
    explains={"eval-overfit", "loss-ignore-index-mismatch"},
    sources={
        "marked": "our calibration: a template's own end-of-turn token closes all rows but the cut ones; the last tokens of free "
        "answers vary",
    },
    fires=Example(**_parts(1)),
    quiet=Example(**_parts(2)),
)
def data_pad_is_eos_masked(case: Case, *, marked: float = 0.9) -> Iterator[Said]:
    """The end token is masked in the labels together with the padding, so the model never learns to stop.

    Padding uses the id of the end token, and all labels of that id are ignored, also the one that ends each text. Usual
    places: `pad_token = eos_token` and then `labels[labels == pad] = -100`, a collator that does so, a mask by value that
    reaches too far. Templates that close with a token of their own, which counts, are left alone.
    """
    audited = audits(case)
    rows = [row for row in audited.scored if whole(row)] if audited else []
    if audited is None or len(rows) < ENOUGH_ROWS or len(rows) < NEARLY_ALL * len(audited.scored):
        yield Skip("no rows of tokens were seen in the loss that are scored in one piece", "")
        return
    closing, most = commonest(row["closes"] for row in rows)
    end = configured(case, audited, "eos_token_id")
    if most >= marked or any(row["closes"] == end for row in rows):
        yield Clear(f"token {closing} closes the scored part of {most:.0%} of the rows")
        return
    why, token, sure = _unended(case, audited, rows, end)
    if token is None:
        yield Clear(f"the scored parts close with different tokens, and {why}")
        return
    padding = padding_named(case, token) if audited.shifted else None
    site = padded_with_end(case) or padding or masked_by_value(case) or audited.site
    yield Finding(
        title=f"the end token {token} is never scored at {where(audited.site)}, so the model cannot learn to stop: {why}",
        proof=Proof.MEASUREMENT,
        severity=None if sure else Severity.WARNING,
        evidence=(
            Evidence("rows whose scored part closes with the end token", f"0 of {len(rows)}", "all", "events.jsonl"),
            Evidence("last scored tokens", ", ".join(str(row["closes"]) for row in rows[:8]), str(token)),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix("Give padding an id of its own, or mask labels by length, the end token included, and not by their value."),
    )


def _unended(case: Case, audited: Audited, rows: list[dict], end: int | None) -> tuple[str, int | None, bool]:
    """What is unscored behind each scored part, the end token if that is what it is, and whether that is certain."""
    if not audited.shifted:
        return _unended_alone(rows, end)
    if any(row.get("pad_scored") for row in rows):
        return "padding is scored", None, False
    after, often = commonest(row["after"] for row in rows)
    pads = {row["pad"] for row in rows if "pad" in row}
    if often < 0.5 or after < 0:
        return "nothing is left out behind them", None, False
    varied = len({row["last"] - row["first"] for row in rows}) >= 2
    if pads == {after}:
        named = end == after or padded_with_end(case) is not None or after in named_ids(case, END[:3])
        ended = _texts_end(audited, rows, after)
        # Where rows have one fixed length, texts without an end look the same; replies at least are meant to have one.
        if named and (ended or audited.prompted >= NEARLY_ALL):
            return f"{after} is the padding too, and every label of that id is ignored", after, ended
        return "no text was seen to end in the padding that follows", None, False
    if often >= NEARLY_ALL and after == end and varied:
        return "it stands behind each scored part and is ignored there", after, True
    return "no end token was recognised behind them", None, False


def _texts_end(audited: Audited, rows: list[dict], token: int) -> bool:
    """Whether the texts themselves end in the token that also pads: a mask counts it as real, or the longest row has one too."""
    if share(row["ends"] == token for row in rows) >= NEARLY_ALL:
        return True
    # Inputs without their last token: what the longest row has there stands in the targets alone, and is ignored.
    outside = not any(call.get("in_forward") for call in audited.calls)
    spare: dict[int, list[int]] = {}
    for row in rows:
        left = row["width"] - 1 - row["last"]
        if not (row["after"] == token or (left == 0 and outside and row.get("length") == row["width"])):
            return False
        spare.setdefault(row["call"], []).append(left)
    return share(min(left) <= 1 for left in spare.values()) >= 0.5


def _unended_alone(rows: list[dict], end: int | None) -> tuple[str, int | None, bool]:
    """An encoder-decoder's labels: ignored places at the end of each row, also of the longest in its batch, hold the end."""
    if end is None:
        return "no end token is known from the model's configuration", None, False
    tails: dict[int, list[int]] = {}
    for row in rows:
        tails.setdefault(row["call"], []).append(row["length"] - 1 - row["last"])
    # Batches are padded to their own longest row, which is among the rows that were looked at in about every other one.
    shortest = [min(tail) for tail in tails.values()]
    padded = len({row["length"] for row in rows}) >= 2 and all(row["first"] == 0 for row in rows)
    if padded and len(shortest) >= 5 and min(shortest) == 1 and shortest.count(1) >= 0.5 * len(shortest):
        return "even the longest row of each batch ends in one label that is ignored", end, True
    return "rows are ignored at their end for want of length alone", None, False

"""Rows are cut before their answers end."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.targets import ENOUGH_ROWS, NEARLY_ALL, Audited, audits, commonest, configured, whole
from cognate.rules.training import where
from cognate.rules.vocabulary import END, cut_to, named_ids


def _parts(width: int) -> dict:
    lengths = [7, 8, 11, 12] * 2
    last = [min(n, width) - 1 for n in lengths]
    closes = [1 if n <= width else 20 + i for i, n in enumerate(lengths)]
    audit = {"offset": 1, "width": width, "length": width, "begin": [0] * 8, "first": [5] * 8, "last": last, "end": last}
    audit |= {"scored": [n - 4 for n in last], "closes": closes}
    call = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "classes": 40, "site": {"file": "t.py", "line": 9}}
    return {"events": [call | {"step": s, "target": {"audit": audit}} for s in range(3)]}


@rule(
    code="DATA128",
    name="data-truncation-drops-target",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.loss_call"},
    explains={"eval-overfit"},
    sources={
        "cut": "taxonomy, data-truncation-drops-target: above 1 % of the rows; 5 % because some hundred rows are looked at",
    },
    fires=Example(**_parts(10)),
    quiet=Example(**_parts(12)),
)
def data_truncation_drops_target(case: Case, *, cut: float = 0.05) -> Iterator[Said]:
    """Truncation cuts off the end of the answers: rows of full length lack the end token, or have no scored token left at all.

    The model learns answers without an end, or nothing from such rows. Usual places: a max_length shorter than prompt and answer,
    an end token that is appended before the cut. Long texts that are cut into rows for language modelling are left alone: there
    all of a row counts.
    """
    audited = audits(case)
    if audited is None or len(audited.scored) < ENOUGH_ROWS:
        yield Skip("no rows of tokens were seen in the loss", "")
        return
    answers = (
        audited.prompted if audited.shifted else sum(whole(r) and r["first"] == 0 for r in audited.scored) / len(audited.scored)
    )
    if answers < NEARLY_ALL:
        yield Clear("the rows are scored from their beginning, or here and there: no answer behind a prompt is cut")
        return
    cap = max(row["width"] for row in audited.rows)
    full = [row for row in audited.rows if row["width"] == cap and row.get("end", row["last"]) == cap - 1]
    empty = [row for row in full if not row["scored"]]
    end, how = _end(case, audited, cap)
    unended = [row for row in full if row["scored"] and end is not None and row["closes"] != end]
    lost = len(unended) + len(empty)
    sure = lost > cut * len(audited.rows) and lost >= 4 and (empty or len(unended) >= 0.2 * len(full))
    # Where not one row has its end, nothing measured says that it had one: the script has to be seen to cut at this length.
    place = cut_to(case, cap)
    if not sure or (how != "rows" and not empty and place is None):
        yield Clear(
            f"{len(full)} of {len(audited.rows)} rows have the full length of {cap}, and {len(unended)} lack their end token"
        )
        return
    what = f"{len(unended)} lack the end token {end}" if unended else "their prompts fill it"
    if unended and empty:
        what += f", {len(empty)} have no scored token left"
    yield Finding(
        title=f"truncation cuts off answers: of {len(audited.rows)} rows {len(full)} fill the {cap} tokens, and {what} "
        f"(loss at {where(audited.site)})",
        proof=Proof.MEASUREMENT,
        severity=None if audited.shifted else Severity.WARNING,
        evidence=(
            Evidence("rows at full length without their end token", f"{len(unended)} of {len(full)}", "0", "events.jsonl"),
            Evidence("rows at full length without any scored token", f"{len(empty)} of {len(full)}", "0"),
            *((Evidence("how the end token is known", how),) if how else ()),
        ),
        location=Location.of(place or audited.site),
        onset_step=0,
        fix=Fix(
            "Allow longer rows, cut the prompt from its left, or drop rows that do not fit; append the end token after the cut."
        ),
    )


def _end(case: Case, audited: Audited, cap: int) -> tuple[int | None, str]:
    """The end token: what closes the rows that had room to spare, else what the configuration or the source calls so."""
    room = [row["closes"] for row in audited.scored if row["last"] < cap - 1]
    token, share = commonest(room)
    if len(room) >= 8 and share >= NEARLY_ALL:
        return token, "rows"
    known = configured(case, audited, "eos_token_id")
    if known is not None:
        return known, "the model's configuration"
    named = named_ids(case, END[:3])
    return (next(iter(named)), "a constant in the source") if len(named) == 1 else (None, "")

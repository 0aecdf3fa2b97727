"""The scored part of a row does not begin where the answer begins."""

from collections.abc import Iterator
from statistics import median
from typing import Any

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.targets import ENOUGH_ROWS, NEARLY_ALL, Audited, audits, commonest, generations
from cognate.rules.training import where
from cognate.rules.vocabulary import masked_by_place

# Tokens before the scored part among which the end of the prompt is looked for; the recorder keeps as many.
REACH = 3


def _events(late: int) -> list[dict]:
    rows, first = 8, 5 + late
    prompt = [[10 + r, 16, 3, 20 + r][late : late + 3] for r in range(rows)]
    audit = {"offset": 1, "width": 9, "begin": [0] * rows, "first": [first] * rows, "last": [8] * rows}
    audit |= {"scored": [9 - first] * rows, "before": prompt, "opens": [20 + r for r in range(rows)], "head": [[0, 7, 8]] * rows}
    call = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "site": {"file": "t.py", "line": 9}}
    calls = [call | {"step": s, "target": {"audit": audit}} for s in range(3)]
    given = [{"shape": [1, n], "dtype": "int64", "heads": [[0, 9]], "tails": [[9, 3 if n == 5 else 7]]} for n in (5, 6)]
    forward = {"kind": "forward", "grad": False, "object": "model#0 M"}
    return calls + [forward | {"step": s, "inputs": [g]} for s in (4, 8) for g in given]


@rule(
    code="DATA125",
    name="data-prompt-mask-misaligned",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.loss_call"},
    explains={"eval-overfit"},
    sources={
        "varied": "our calibration: the token before the answer is the same in all rows of a template; in answers the commonest "
            "one rarely makes up nine tenths",
    },
    fires=Example(events=_events(1)),
    quiet=Example(events=_events(0)),
)  # fmt: skip
def data_prompt_mask_misaligned(case: Case, *, varied: float = 0.9) -> Iterator[Said]:
    """The prompt mask is misaligned: the scored part of a row begins some tokens behind the end of the prompt.

    What generation has to produce first is then never trained. Prompts end in one and the same marker, where generation begins;
    the scored part has to begin right behind it. Usual places: a count of tokens that is off by one, a prompt that is tokenized
    alone and differs from what it is within the row, a shift that is applied to the labels and again in the loss.
    """
    audited = audits(case)
    if audited is None or not audited.shifted or len(audited.scored) < ENOUGH_ROWS or audited.prompted < NEARLY_ALL:
        yield Skip("no rows were seen of which a prompt is left out of the loss and the rest counts", "")
        return
    rows = audited.scored
    ends = [commonest(row["before"][-k] for row in rows) for k in range(1, REACH + 1)]
    starts, agreed = commonest(pair[1] for event in generations(case) for pair in event.get("tails", []))
    starts = starts if agreed >= varied else None
    if ends[0][1] >= varied:
        yield Clear(f"the scored part begins behind token {ends[0][0]} in {ends[0][1]:.0%} of the rows")
        return
    late = next((k for k in range(2, REACH + 1) if ends[k - 1][1] >= NEARLY_ALL), None)
    marker = ends[late - 1][0] if late else None
    behind = f"begins {late - 1 if late else 0} token{'s' if late and late > 2 else ''} behind token {marker}"
    if late and marker == starts:
        yield _finding(case, audited, f"{behind}, where generation begins", marker)
    elif late and starts is None and _looks_like_answer(audited, late):
        yield _finding(case, audited, f"{behind}, which ends every prompt", marker, Severity.WARNING)
    elif starts is not None and _scattered(rows, starts, varied):
        right = sum(row["before"][-1] == starts for row in rows) / len(rows)
        text = f"begins right behind token {starts}, where generation begins, in {right:.0%} of the rows only"
        yield _finding(case, audited, text, starts)
    else:
        yield Clear("no marker was found near the beginning of the scored part, or generation begins elsewhere")


def _looks_like_answer(audited: Audited, late: int) -> bool:
    """Whether what lies between marker and scored part is of the answer: the same tokens, in answers of several tokens.

    An operand before a single token (`a + b`, then the sum) or a query before its value is prompt.
    """
    rows = audited.scored
    between = {token for row in rows for token in row["before"][len(row["before"]) - late + 1 :]}
    answers = {token for row in rows for token in (row["opens"], row.get("closes", row["opens"]))}
    lengths = {row["first"] - row.get("begin", 0) for row in rows}
    return median(row["scored"] for row in rows) >= 3 and len(between) >= 3 and between <= answers and len(lengths) >= 3


def _scattered(rows: list[dict], marker: int, varied: float) -> bool:
    """Whether the marker stands near the beginning of many scored parts, but rarely right before it, and nothing else does."""
    places = [row["before"][-1] for row in rows]
    near = sum(marker in (*row["before"], row["opens"]) for row in rows) / len(rows)
    three = sum(sorted((places.count(token) for token in set(places)), reverse=True)[:3]) / len(places)
    return near >= 0.5 and places.count(marker) < 0.8 * len(places) and three < varied


def _finding(case: Case, audited: Audited, text: str, marker: Any, severity: Severity | None = None) -> Finding:
    site = masked_by_place(case) or audited.site
    shown = "; ".join(f"…{' '.join(map(str, row['before']))} | {row['opens']}…" for row in audited.scored[:3])
    return Finding(
        title=f"the prompt mask is misaligned: the scored part of the rows at {where(audited.site)} {text}",
        proof=Proof.MEASUREMENT,
        severity=severity,
        evidence=(
            Evidence("tokens before | first of the scored part, three rows", shown, f"{marker} |", "events.jsonl"),
            Evidence("rows looked at", len(audited.scored)),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix(
            "Mask exactly the prompt: -100 for as many labels as the prompt has tokens within the row, "
            "and print a row's scored tokens to see that they begin with the answer and end with the end token."
        ),
    )

"""Rows begin with the beginning-of-text token twice."""

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import Site, called
from cognate.rules.targets import ENOUGH_ROWS, audits, commonest, configured, generations
from cognate.rules.training import where
from cognate.rules.vocabulary import constants, means, named_ids

BEGIN = ("bos", "cls", "start", "sos", "begin")


def _events(head: list[int]) -> list[dict]:
    rows = 8
    audit = {"offset": 1, "width": 9, "begin": [0] * rows, "first": [5] * rows, "last": [8] * rows, "scored": [4] * rows}
    audit |= {"head": [[*head, 7 + r] for r in range(rows)]}
    call = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "classes": 30, "site": {"file": "t.py", "line": 9}}
    calls = [call | {"step": s, "target": {"audit": audit}} for s in range(3)]
    given = [{"shape": [1, n], "dtype": "int64", "heads": [[0, 9]], "tails": [[9, 3]]} for n in (5, 6)]
    return calls + [{"kind": "forward", "grad": False, "step": 4, "object": "model#0 M", "inputs": [g]} for g in given]


@rule(
    code="DATA126",
    name="data-double-bos",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.loss_call"},
    explains={"eval-overfit"},
    sources={
        "rows": "taxonomy, data-double-bos: the first two ids of more than half of the rows (open-r1 462, DeepSeek-R1 151)",
    },
    fires=Example(events=_events([0, 0])),
    quiet=Example(events=_events([0, 8])),
)
def data_double_bos(case: Case, *, rows: float = 0.5) -> Iterator[Said]:
    """Training rows begin with the beginning-of-text token twice, once from the template and once from the tokenizer.

    Every position is then one further than at inference, where prompts begin with one such token, and replies go wrong although
    the loss is low. Usual places: a chat template that writes the token and a tokenizer that adds special tokens, a prompt that
    holds it already and gets it again. A model that is asked in the same way is left alone.
    """
    audited = audits(case)
    heads = [tuple(row["head"]) for row in audited.rows if row.get("head")] if audited else []
    if audited is None or len(heads) < ENOUGH_ROWS:
        yield Skip("no rows of tokens were seen in the loss", "")
        return
    # A third one would be padding or data: a token that begins a text comes once, or by mistake twice.
    double = [head for head in heads if head[0] == head[1] != head[2]]
    token, share = commonest(head[0] for head in double)
    share *= len(double) / len(heads)
    if share <= rows or len({head[2] for head in double}) < 2:
        yield Clear(f"{len(double)} of {len(heads)} rows begin with one token twice")
        return
    begun = [tuple(pair) for event in generations(case) for pair in event.get("heads", [])]
    once = [pair for pair in begun if pair[0] == token != pair[1]]
    known = configured(case, audited, "bos_token_id") == token or token in named_ids(case, BEGIN)
    if (begun and not once) or not (once or known):
        why = "generation begins so too" if begun else "nothing says that it marks the beginning"
        yield Clear(f"{share:.0%} of the rows begin with token {token} twice, and {why}")
        return
    site = _place(case, token) or audited.site
    yield Finding(
        title=f"{share:.0%} of the training rows begin with the beginning-of-text token {token} twice"
        + (", while prompts at inference begin with it once" if once else f" (first seen at {where(audited.site)})"),
        proof=Proof.MEASUREMENT,
        severity=None if once else Severity.WARNING,
        evidence=(
            Evidence("rows that begin with it twice", f"{len(double)} of {len(heads)}", "0", "events.jsonl"),
            *((Evidence("prompts of a generation that begin with it once", f"{len(once)} of {len(begun)}"),) if begun else ()),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix("Let one place add the token: tokenize the rendered template with add_special_tokens=False, or prepend none."),
    )


def _place(case: Case, token: int) -> Site | None:
    """The statement that puts the token before something which brings it along, else the last one that puts it anywhere."""
    names = {name for name, value, _ in constants(case) if value == token and means(name, BEGIN)}
    bring: set[str] = set()
    places: list[tuple[Site, ast.stmt]] = []
    for file, tree in case.trees.items():
        for function in [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]:
            for node in ast.walk(function):
                if not isinstance(node, (ast.Assign, ast.AnnAssign, ast.Return, ast.Expr)):
                    continue
                if any(isinstance(p, ast.List) and _first(p) in names for p in ast.walk(node)):
                    places.append(({"file": file, "line": node.lineno, "function": function.name}, node))
                    bring.add(function.name)
    twice = [s for s, n in places if any(isinstance(p, ast.Call) and called(p) in bring - {s["function"]} for p in ast.walk(n))]
    found = twice or [site for site, _ in places][-1:]
    return found[0] if found else None


def _first(node: ast.List) -> str:
    first = node.elts[0] if node.elts else None
    return getattr(first, "id", "") or getattr(first, "attr", "")

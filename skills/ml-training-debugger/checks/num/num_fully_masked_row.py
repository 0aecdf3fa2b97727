"""A softmax over a row in which everything is masked makes NaN."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.birth import Birth, birth, broken, masked
from cognate.rules.training import where


def _parts(rows: float) -> dict:
    site = {"file": "model.py", "line": 20, "function": "forward"}
    trace = [
        {"w": 0, "i": 0, "op": "tril", "in": [], "dtype": "bool", "site": {**site, "line": 12}},
        {"w": 0, "i": 1, "op": "masked_fill", "in": [0], "inf": 0.5, "nan": 0.0, "g": True, "site": site},
        {"w": 0, "i": 2, "op": "softmax", "in": [1], "ig": True, "g": True, "site": {**site, "line": 21}}
        | ({"nan": rows} if rows else {}),
        {"w": 0, "root": 2, "nodes": 3},
    ]
    value = {"loss": None, "nonfinite": {"loss": "nan"}} if rows else {"loss": 1.0}
    return {"trace": trace, "metrics": [{"step": s} | value for s in range(8)]}


@rule(
    code="NUM120",
    name="num-fully-masked-row",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"metrics.loss"},
    explains={
        "loss-nonfinite",
        "loss-not-decreasing",
        "num-fp16-scale-collapse",
        "loss-diverging",
        "grad-exploding",
        "opt-lr-too-high",
        "num-unstable-expression",
    },
    fires=Example(**_parts(0.1)),
    quiet=Example(**_parts(0.0)),
)
def num_fully_masked_row(case: Case) -> Iterator[Said]:
    """A row of the attention is masked entirely: the softmax over -inf alone is NaN, and so is all that follows.

    A causal mask that leaves a token not even itself, a document of padding only, or a mask that is inverted. Let every row keep
    one key (its own position), or give rows without any a zero output. Masks with a large finite number (-1e9) do not become NaN,
    but such a row then attends to everything. Reported only where the loss did become non-finite.
    """
    if not broken(case):
        yield Clear("the training loss stayed finite")
        return
    found = birth(case)
    if found is None or not masked(found):
        yield Clear("no softmax over a fully masked row made the first non-finite number")
        return
    yield _finding(found)


def _finding(found: Birth) -> Finding:
    rows = found.facts.get("nan_rows") or found.facts.get("nan")
    made = _mask(found)
    place = made or found.site
    from_mask = f", from the mask made at {where(made)}" if made else ""
    return Finding(
        title=f"`{found.op}` at {where(found.site)} is given rows in which every score is masked{from_mask}: they become NaN, "
        "and the loss with them",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("share of rows without any allowed key", rows, "0", f"step {found.step}"),
            Evidence("weights before it", "finite"),
        ),
        location=Location.of(place, found.module),
        onset_step=found.step,
        fix=Fix(
            "Let every row keep at least one key: include the diagonal in the causal mask, and leave out rows of padding alone.",
            ("for rows that may be empty: scores.softmax(-1).nan_to_num(0.0), or mask with torch.finfo(dtype).min",),
        ),
    )


def _mask(found: Birth) -> dict | None:
    """The line that builds the mask: the first operation before the softmax that makes truth values, if the forward holds one."""
    if found.graph is None or found.node is None:
        return None
    before = [n for n in found.graph.upstream(found.node) if not n.get("g") and n.get("site")]
    shaped = [n for n in before if n["op"] in ("tril", "triu")]
    truths = shaped or [n for n in before if n.get("dtype") == "bool"]
    return min(truths, key=lambda n: n["i"])["site"] if truths else None

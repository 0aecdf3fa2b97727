"""Sequences are longer than the table of positions."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import flows
from cognate.rules.training import parameters, where

_SITE = {"file": "model.py", "line": 17, "function": "forward"}


def _parts(rows: int) -> dict:
    trace = [
        {"w": 1, "i": 0, "op": "arange", "in": [], "ig": False, "g": False, "shape": [64], "site": _SITE},
        {"w": 1, "i": 1, "op": "clamp", "in": [0], "ig": False, "g": False, "shape": [64], "site": _SITE},
        {
            "w": 1,
            "i": 2,
            "op": "embedding",
            "in": [1],
            "p": ["pos.weight"],
            "ig": True,
            "g": True,
            "shape": [64, 16],
            "site": _SITE,
        },
        {"w": 1, "root": 2, "nodes": 3},
    ]
    return {"trace": trace, "model": {"roots": [{"cls": "LM", "parameters": [{"name": "pos.weight", "shape": [rows, 16]}]}]}}


@rule(
    code="MODEL109",
    name="model-position-overflow",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"trace", "model"},
    explains={"loss-not-decreasing"},
    fires=Example(**_parts(32)),
    quiet=Example(**_parts(64)),
)
def model_position_overflow(case: Case) -> Iterator[Said]:
    """Sequences are longer than the position table: positions are clamped or wrapped, so distant tokens share one position.

    An index beyond the table would raise, so somebody cut it with clamp, min or modulo; from there on the model cannot tell
    tokens apart by place. Lengthen the table or shorten the sequences.
    """
    shapes = {p["name"]: p["shape"] for p in parameters(case)}
    looked = 0
    for graph in flows(case):
        for node in graph.find(lambda n: n["op"] == "embedding" and bool(n.get("p"))):
            sources = list(graph.upstream(node, 12))
            if not any(s["op"] == "arange" for s in sources):
                continue
            looked += 1
            rows = shapes.get(node["p"][0], [0])[0]
            length = node["shape"][-2] if len(node.get("shape", [])) >= 2 else 0
            cut = next(
                (s for s in sources if s["op"] in ("clamp", "clip", "minimum", "remainder", "mod", "fmod", "clamp_max")), None
            )
            if not rows or length <= rows or cut is None:
                continue
            site = cut.get("site") or node.get("site")
            yield Finding(
                title=f"positions overflow: sequences of {length} tokens exceed the position table of {rows} rows, and "
                f"`{cut['op']}` at "
                f"{where(site)} makes {length - rows} of them share a position",
                proof=Proof.MEASUREMENT,
                evidence=(
                    Evidence("tokens in a sequence", length, f"≤ {rows}", f"trace, step {node['w']}"),
                    Evidence(f"rows of {node['p'][0]}", rows),
                ),
                location=Location.of(site, node.get("m")),
                onset_step=0,
                fix=Fix(f"Make the position table at least {length} long, or cut the sequences to {rows} tokens."),
            )
            return
    yield Clear("every position has a row of its own") if looked else Skip("no table of positions was recognised", "")

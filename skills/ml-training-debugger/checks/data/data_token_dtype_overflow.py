"""Token ids are stored in too small a type."""

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import Site, called, calls
from cognate.rules.training import modules, where

# The largest id that a type holds.
LARGEST = {"uint8": 255, "byte": 255, "B": 255, "int16": 32_767, "short": 32_767, "h": 32_767, "uint16": 65_535, "H": 65_535}


def _parts(largest: int) -> dict:
    tokens = {"shape": [8, 16], "dtype": "int64", "min": 0, "max": largest}
    forward = {"kind": "forward", "grad": True, "object": "model#0 M", "inputs": [tokens]}
    embedding = {"name": "embed", "cls": "Embedding", "settings": {"num_embeddings": 300}}
    return {
        "events": [forward | {"step": s} for s in range(6)],
        "model": {"roots": [{"cls": "M", "modules": [embedding]}]},
        "source": {"t.py": "ids = np.array(encode(text), dtype=np.uint8)\n"},
    }


@rule(
    code="DATA129",
    name="data-token-dtype-overflow",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"events.forward", "model"},
    explains={"loss-not-decreasing", "eval-overfit"},
    sources={
        "filled": "our calibration: ids that wrap around fill the type's whole range; bytes of a text stay in its lower half",
    },
    fires=Example(**_parts(255)),
    quiet=Example(**_parts(299)),
)
def data_token_dtype_overflow(case: Case, *, filled: float = 0.95) -> Iterator[Said]:
    """Token ids are stored in a type that cannot hold the vocabulary, so the largest ones wrap around to small ids.

    The model reads other tokens than the text has, and no error is raised. Usual places: a uint16 file for a vocabulary of more
    than 65536 tokens, a uint8 array of more than 256. Ids that do not reach the end of the type are left alone.
    """
    sizes = [m["settings"]["num_embeddings"] for m in modules(case).values() if m.get("settings", {}).get("num_embeddings")]
    forwards = case.events("forward", grad=True)
    tokens = [t for e in forwards for t in e.get("inputs", []) if "int" in str(t.get("dtype")) and len(t.get("shape", [])) >= 2]
    largest = max((t["max"] for t in tokens if t.get("max") is not None), default=0)
    if not sizes or largest < 2 or len(forwards) < 4:
        yield Skip("no model with an embedding was seen on integer inputs", "")
        return
    for limit, name, site in _casts(case):
        if max(sizes) > limit + 1 and filled * limit <= largest <= limit:
            yield Finding(
                title=f"token ids are stored as {name} at {where(site)}, which holds no id above {limit}, and the embedding has "
                f"{max(sizes)}: larger ids wrap around",
                proof=Proof.MEASUREMENT,
                evidence=(
                    Evidence("largest id that the model was given", largest, f"up to {max(sizes) - 1}", "events.jsonl"),
                    Evidence(f"largest id that {name} holds", limit),
                ),
                location=Location.of(site),
                onset_step=0,
                fix=Fix("Store the ids in a type that holds the whole vocabulary (uint16 up to 65536 tokens, uint32 beyond)."),
            )
            return
    yield Clear(f"ids go up to {largest}, and no cast in the source ends there")


def _casts(case: Case) -> Iterator[tuple[int, str, Site]]:
    """Casts to small integer types: astype, to, byte(), dtype=…, array('H'); (largest id, type, place)."""
    for file, node, name in calls(case):
        given = [k.value for k in node.keywords if k.arg == "dtype"]
        if name in ("astype", "to", "asarray", "frombuffer", "fromfile", "memmap", "array", "tensor", "empty", "zeros", "type"):
            given += node.args
        words = [_word(value) for value in given] + ([name] if isinstance(node.func, ast.Attribute) and not node.args else [])
        for word in words:
            if word in LARGEST and (len(word) > 1 or called(node) == "array"):
                yield LARGEST[word], word, {"file": file, "line": node.lineno}


def _word(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return getattr(node, "attr", None) or getattr(node, "id", None) or ""

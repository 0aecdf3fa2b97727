"""One part of the model holds nearly all of its parameters."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule


def _model(embedding: int) -> dict:
    rows = [
        {"name": "tokens.weight", "numel": embedding, "shape": [embedding // 64, 64], "storage": 1},
        {"name": "blocks.0.weight", "numel": 90_000, "shape": [300, 300], "storage": 2},
        {"name": "head.weight", "numel": 10_000, "shape": [100, 100], "storage": 3},
    ]
    modules = [{"name": "tokens", "cls": "Embedding"}, {"name": "blocks.0", "cls": "Linear"}, {"name": "head", "cls": "Linear"}]
    return {"roots": [{"cls": "LM", "parameters": rows, "modules": modules}]}


@rule(
    code="MODEL301",
    name="model-parameter-imbalance",
    severity=Severity.INFO,
    kind=Kind.PRACTICE,
    needs={"model"},
    sources={
        "share": "our calibration: GPT-2 small holds 31 % in its embeddings, our phase1 preset 52 %; at 95 % the rest is a "
        "detail",
        "least": "our calibration: in a model under 100,000 parameters the split says nothing",
    },
    fires=Example(model=_model(9_600_000)),
    quiet=Example(model=_model(128_000)),
)
def model_parameter_imbalance(case: Case, *, share: float = 0.95, least: int = 100_000) -> Iterator[Said]:
    """Nearly all parameters sit in one part of the model, such as an embedding table, and little is left to compute with.

    A vocabulary far larger than the data needs, or an untied head, spends the memory and the optimizer's state on rows that are
    rarely seen. Tied weights are counted once. Often it is meant; it is worth knowing.
    """
    for root in case.model.get("roots", []):
        groups: dict[str, int] = {}
        seen: set[int] = set()
        for row in root.get("parameters", []):
            storage = row.get("storage")
            if storage and storage in seen:
                continue
            seen.add(storage or 0)
            part = row["name"].split(".")[0]
            groups[part] = groups.get(part, 0) + int(row.get("numel", 0))
        total = sum(groups.values())
        if total < least or len(groups) < 2:
            continue
        part = max(groups, key=lambda name: (groups[name], name))
        parts = ", ".join(f"{name} {groups[name] / total:.1%}" for name in sorted(groups, key=lambda n: -groups[n])[:6])
        if groups[part] < share * total:
            yield Clear(f"{total:,} parameters: {parts}")
            continue
        yield Finding(
            title=f"{groups[part] / total:.1%} of the {total:,} parameters sit in {part}",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence("parameters by part, tied weights counted once", parts, f"no part above {share:.0%}", "model.json"),
            ),
            location=Location(module=part),
            fix=Fix("Tie the head to the embedding, shrink the vocabulary, or widen the rest of the model.", risk="medium"),
        )
        return
    if not any(root.get("parameters") for root in case.model.get("roots", [])):
        yield Skip("no model with parameters was observed", "")

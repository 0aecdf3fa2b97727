"""Weight decay acts on scales, biases and embeddings."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.training import modules, parameters, short

_NORMS = ("LayerNorm", "RMSNorm")


def _parts(decay: float) -> dict:
    row = {"requires_grad": True, "optimizer": "optimizer#0"}
    rows = [row | {"name": "norm.weight", "shape": [8], "group": 0}, row | {"name": "lin.weight", "shape": [8, 8], "group": 1}]
    names = [{"name": "norm", "cls": "LayerNorm"}, {"name": "lin", "cls": "Linear"}]
    groups = [{"weight_decay": decay}, {"weight_decay": 0.1}]
    optimizer = {"label": "optimizer#0", "cls": "AdamW", "steps": 90, "groups": groups}
    return {"model": {"roots": [{"parameters": rows, "modules": names}], "optimizers": [optimizer]}}


@rule(
    code="OPT127",
    name="opt-decay-on-norm-bias-embed",
    severity=Severity.INFO,
    kind=Kind.PRACTICE,
    needs={"model"},
    sources={"least": "transformers are trained with 0.01 to 0.1; below that, decay of vectors makes no difference"},
    fires=Example(**_parts(0.1)),
    quiet=Example(**_parts(0.0)),
)
def opt_decay_on_norm_bias_embed(case: Case, *, least: float = 0.01) -> Iterator[Said]:
    """Decoupled weight decay also acts on the scales of normalisations and on biases.

    It pulls scales towards 0 rather than 1 and does not regularise anything: common practice (GPT-2, BERT, nanoGPT) is two
    groups, matrices with decay and vectors without. Many models train well all the same, so this is advice.
    """
    norms = {name for name, m in modules(case).items() if m.get("cls") in _NORMS}
    groups = {
        (o["label"], index): group
        for o in case.model.get("optimizers", [])
        if o.get("cls") == "AdamW" and o.get("steps")
        for index, group in enumerate(o.get("groups", []))
    }
    hit = [
        p["name"]
        for p in parameters(case)
        if p["name"].rpartition(".")[0] in norms
        and (groups.get((str(p.get("optimizer")), p.get("group") or 0), {}).get("weight_decay") or 0.0) >= least
    ]
    if not hit:
        yield Clear("no scale of a normalisation is decayed")
        return
    site = next((o.get("site") for o in case.model.get("optimizers", []) if o.get("cls") == "AdamW"), None)
    yield Finding(
        title=f"AdamW decays {len(hit)} scales and biases of normalisations ({short(hit)})",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("one-dimensional tensors of normalisations with weight decay", short(hit, 6), "none", "model.json"),),
        location=Location.of(site),
        fix=Fix("Make two groups: tensors of two or more dimensions with the decay, the others with weight_decay=0."),
    )

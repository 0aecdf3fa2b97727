"""A language model whose predictions do not depend on its tokens."""

import ast
from collections import Counter
from collections.abc import Iterator
from math import log
from statistics import median

from cognate.case.curves import loss_series
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import Site, class_named, first_call
from cognate.rules.training import commonest_site, modules, number, parameters, starved, train_losses, travelled, where


def _parts(shifted: float) -> dict:
    result = {"real": 3.02, "shifted": shifted, "output_spread": 0.3, "scale": 0.4}
    probes = [{"probe": "input_dependence", "status": "ok", "step": s, "result": result} for s in (40, 100)]
    target = {"offsets": {"0": {"0": 0.05, "1": 1.0}}, "histogram": {"counts": {str(n): 10 for n in range(21)}, "distinct": 21}}
    call = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "target": target, "site": {"file": "t.py", "line": 9}}
    return {
        "events": [call | {"step": s} for s in range(4)],
        "probes": probes,
        "metrics": [{"step": s, "loss": 3.04, "update_ratio": 1e-2} for s in range(150)],
    }


@rule(
    code="DATA120",
    name="data-unigram-plateau",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"probe.input_dependence", "events.loss_call"},
    explains={
        "loss-not-decreasing", "loss-plateau", "data-input-label-misaligned", "eval-overfit", "opt-lr-too-low", "opt-lr-too-high",
    },
    sources={
        "near": "taxonomy, data-unigram-plateau: within 2 % of the entropy of the targets' frequencies (our proposal there); 5 % "
            "because frequencies are counted over some thousand targets",
        "exact": "our calibration: a model that cannot see its tokens gives the same loss to the last digits of float32",
        "steps": "our calibration: before forty steps a zero-initialised part may hide the input",
        "moved": "our calibration: weights that have travelled less than a twentieth of their size have not been trained yet",
    },
    fires=Example(**_parts(3.02)),
    quiet=Example(**_parts(4.4)),
)  # fmt: skip
def data_unigram_plateau(
    case: Case, *, near: float = 0.05, exact: float = 1e-5, steps: int = 40, moved: float = 0.05
) -> Iterator[Said]:
    """The language model ignores its tokens: the loss stays at the entropy of the token frequencies, whatever row it reads.

    Every language model passes through this level in its first hundreds of steps; one that does not see its tokens stays there.
    So the experiment decides: with another row's tokens the loss is the same to the last digit. Usual places: a token embedding
    that is computed and not added, an input that is overwritten or zeroed, a mask that hides all tokens, a detached path.
    """
    calls = [c for c in train_losses(case, "cross_entropy", "nll_loss") if _next_token(c)]
    if not calls:
        yield Skip("the targets are not the next tokens of a model's input", "")
        return
    late = [p for p in case.probe("input_dependence") if p["step"] >= steps and p["result"].get("real") is not None]
    if not late:
        yield Skip(f"the run ended before step {steps}, too early to ask whether the tokens are used", "run longer")
        return
    losses = loss_series(case)
    finite = [v for v in losses.values if v is not None] if losses else []
    result = late[-1]["result"]
    entropy = _entropy(calls)
    gaps = [abs(p["result"]["shifted"] - p["result"]["real"]) / max(abs(p["result"]["real"]), 1e-9) for p in late]
    level = median(finite[-max(10, len(finite) // 5) :]) if finite else result["real"]
    blind = max(gaps) <= exact
    # The position alone may tell a little; what no frequency explains is not this fault.
    if not blind or level > (1 + near) * entropy + near or level < 0.5 * entropy or travelled(case) < moved:
        yield Clear(f"loss {number(result['real'])} on the real rows, {number(result['shifted'])} with other rows' tokens")
        return
    site, what = _unused(case)
    yield Finding(
        title=f"the model does not see its tokens: with another row's tokens the loss is the same, "
        f"and training stays at the entropy of the token frequencies ({number(entropy)})",
        proof=Proof.EXPERIMENT,
        evidence=(
            Evidence(
                "loss on the real rows / with other rows' tokens", [result["real"], result["shifted"]], "far apart",
                f"probe input_dependence, step {late[-1]['step']}",
            ),
            Evidence("training loss / entropy of the targets' frequencies", [level, entropy], "well below it"),
            *((Evidence("embeddings without any gradient", what, "none"),) if what else ()),
        ),
        location=Location.of(site or commonest_site(calls)),
        onset_step=0,
        fix=Fix(
            f"Follow the tokens through the forward{f' at {where(site)}' if site else ''}: their embedding has to be part of "
            "what goes into the layers, and no mask, detach or zero may stand in between."
        ),
    )  # fmt: skip


def _next_token(call: dict) -> bool:
    return any(shares.get("1", 0.0) >= 0.8 for shares in (call.get("target", {}).get("offsets") or {}).values())


def _entropy(calls: list[dict]) -> float:
    """Entropy in nats of the targets' frequencies, ignored ones left out: the least loss of a guess that sees no token."""
    counts: Counter[str] = Counter()
    for call in calls:
        ignored = str(call.get("ignore_index", -100))
        counts.update({k: n for k, n in call["target"].get("histogram", {}).get("counts", {}).items() if k != ignored})
    total = sum(counts.values())
    return -sum(n / total * log(n / total) for n in counts.values()) if total else 0.0


def _unused(case: Case) -> tuple[Site | None, str]:
    """The forward of the model, and the embeddings that never had a gradient."""
    kinds = modules(case)
    names = [p["name"] for p in starved(case, 3) if kinds.get(p["name"].rpartition(".")[0], {}).get("cls") == "Embedding"]
    for cls in sorted({str(p["root"]) for p in parameters(case)}):
        found = class_named(case, cls)
        forward = next((n for n in found[1].body if getattr(n, "name", "") == "forward"), None) if found else None
        if found and forward:
            added = _sum_in(case, found[0], forward)
            return added or {"file": found[0], "line": forward.lineno, "function": "forward"}, ", ".join(names)
    return first_call(case, "Embedding"), ", ".join(names)


def _sum_in(case: Case, file: str, forward: object) -> Site | None:
    """The first statement of the forward that calls an embedding of the model: where tokens should come in."""
    embeddings = {name.rpartition(".")[2] for name, module in modules(case).items() if module.get("cls") == "Embedding"}
    for node in getattr(forward, "body", []):
        if any(isinstance(p, ast.Attribute) and p.attr in embeddings for p in ast.walk(node)):
            return {"file": file, "line": node.lineno, "function": "forward"}
    return None

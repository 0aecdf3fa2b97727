"""A loss that applies softmax or sigmoid itself is given probabilities."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import RESHAPES, flows
from cognate.rules.source import first_call, made_at
from cognate.rules.training import commonest_site, train_losses, where


def _calls(kind: str) -> list[dict]:
    base = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "classes": 10, "site": {"file": "t.py", "line": 40}}
    calls = [base | {"step": s, "input": {"kind": kind, "shape": [32, 10], "min": 0.0, "max": 0.9}} for s in range(12)]
    return [*calls, {"kind": "call", "name": "step", "step": 0}]


@rule(
    code="LOSS101",
    name="loss-softmax-twice",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.call"},
    explains={"loss-not-decreasing", "grad-vanishing", "opt-lr-too-low", "model-init-loss-off", "data-input-label-misaligned"},
    core=True,
    sources={
        "calls": "taxonomy, loss-softmax-twice: rows that sum to 1 ± 1e-3; ten calls make chance rows impossible",
    },
    fires=Example(events=_calls("probabilities")),
    quiet=Example(events=_calls("logits")),
)
def loss_softmax_twice(case: Case, *, calls: int = 5) -> Iterator[Said]:
    """Softmax is applied twice: the model returns probabilities and cross-entropy expects raw logits (or sigmoid twice for BCE).

    cross_entropy applies log-softmax itself and binary_cross_entropy_with_logits a sigmoid. Given probabilities, the loss cannot
    fall below ln(1 + (C-1)/e) and the gradients are squashed: training is slow and ends high.
    """
    looked = train_losses(case, "cross_entropy", "binary_cross_entropy_with_logits")
    nested = _nested(case)
    if nested is not None:
        yield nested
        return
    if len(looked) < calls:
        yield Skip("no cross-entropy on logits was computed in training", "")
        return
    for function, test, word, bound in (
        ("cross_entropy", _rows_are_probabilities, "softmax", "rows that do not sum to 1"),
        ("binary_cross_entropy_with_logits", _within_unit, "sigmoid", "values outside [0, 1]"),
    ):
        mine = [c for c in looked if c["fn"] == function]
        hits = [c for c in mine if test(c)]
        if len(hits) < calls or len(hits) < 0.9 * len(mine):
            continue
        made = _maker(case, word, function)
        if made is None and word == "sigmoid" and not _many_values(hits):
            continue
        site = commonest_site(hits)
        at = f" at {where(made)}" if made else ""
        yield Finding(
            title=f"{word} is applied twice: the model's output already went through {word}{at}, and {function} at {where(site)} "
            "expects raw logits and applies it again",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence(
                    f"training calls of {function} given probabilities", f"{len(hits)} of {len(mine)}", bound, "events.jsonl"
                ),
                Evidence(
                    "range of the loss input", [hits[0]["input"].get("min"), hits[0]["input"].get("max")], "unbounded logits"
                ),
            ),
            location=Location.of(made or site),
            onset_step=0,
            fix=Fix(f"Return raw logits from the model: drop the {word}, and apply it only where probabilities are read."),
        )
        return
    yield Clear(f"{len(looked)} training losses on logits were given logits")


def _nested(case: Case) -> Finding | None:
    """A log_softmax of a softmax, or a logsigmoid of a sigmoid, in a loss that was written by hand."""
    for graph in flows(case):
        for node in graph.find(lambda n: n["op"] in ("log_softmax", "log_sigmoid", "logsigmoid") and n.get("g", False)):
            word = "softmax" if node["op"] == "log_softmax" else "sigmoid"
            made = graph.producer(node, RESHAPES)
            last = (node.get("shape") or [0])[-1]
            if not made or made["op"] != word or last < 2 or graph.root is None:
                continue
            if word == "softmax" and made.get("a", {}).get("dim") not in (-1, len(made.get("shape") or []) - 1):
                continue
            if all(other["i"] != graph.root for other in graph.downstream(node)):
                continue
            first = made_at(case, made.get("site"), word.capitalize(), used_as=word)
            if first == node.get("site"):  # one line calls the model and the loss
                first = first_call(case, word.capitalize()) or first
            return Finding(
                title=f"{word} is applied twice: at {where(first)}, and again in {node['op']} at {where(node.get('site'))}",
                proof=Proof.MEASUREMENT,
                evidence=(Evidence(f"what {node['op']} was given", f"the result of {word}", "raw scores", "trace.jsonl"),),
                location=Location.of(first or node.get("site")),
                onset_step=0,
                fix=Fix(f"Give {node['op']} the raw scores: drop the {word} before it."),
            )
    return None


def _rows_are_probabilities(call: dict) -> bool:
    return bool(call["input"].get("kind") == "probabilities" and call.get("classes", 0) >= 2)


def _within_unit(call: dict) -> bool:
    return bool(call["input"].get("min", -1.0) >= 0.0 and call["input"].get("max", 2.0) <= 1.0)


def _many_values(calls: list[dict]) -> bool:
    return all(c["input"].get("std", 0.0) > 0 for c in calls) and len(calls) >= 10


def _maker(case: Case, word: str, function: str) -> dict | None:
    """Where the first softmax or sigmoid was applied, from the traced data flow."""
    for graph in flows(case):
        for loss in graph.find(lambda node: node["op"] == function):
            made = graph.producer(loss, RESHAPES)
            if made and made["op"] == word:
                return made_at(case, made.get("site"), word.capitalize(), used_as=word)
    return None

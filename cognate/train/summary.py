"""What is known of a run at its end, each value measured in it: the content of `training.json`, and the same as a few lines."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from cognate.model.model import CognateModel, parameter_parts
from cognate.train import journal
from cognate.train.data.corpus import Corpus
from cognate.train.job import Job
from cognate.train.loop import Outcome
from cognate.train.plan import describe_data, shares

SCHEMA = "cognate.training/1"
PROBED = 16  # validation rows on which the work saved by early exit is measured


def summarise(
    job: Job, model: CognateModel, corpus: Corpus, outcome: Outcome, solved: dict[str, Any] | None, run: Path
) -> dict[str, Any]:
    """Plain JSON. Training values come from the run's journal, inference values from `model` as it is now."""
    records = journal.read(run)
    steps = [record for record in records if "loss" in record]
    evaluations = [record for record in records if "val_loss" in record]
    parts = parameter_parts(model)
    norms = [record["grad_norm"] for record in steps if record["grad_norm"] is not None]
    return {
        "schema": SCHEMA,
        "preset": job.preset,
        "specialisation": job.specialisation,
        "parameters": {"total": sum(parts.values()), "parts": parts, "shares": shares(parts)},
        "data": corpus.facts,
        "options": job.training.to_dict(),
        "ended": outcome.reason,
        "steps": outcome.step,
        "tokens": outcome.tokens,
        "seconds": round(outcome.seconds, 3),
        "loss": {
            "expected_first": math.log(model.config.vocabulary),
            "first": next((record["loss"] for record in steps if record["step"] == 1), None),
            "last": steps[-1]["loss"] if steps else None,
        },
        "validation": {
            "evaluations": len(evaluations),
            "losses": [[record["step"], record["val_loss"]] for record in evaluations],
            "best": outcome.best_loss,
            "best_step": outcome.best_step,
        },
        "gradient": {
            "logged": len(norms),
            "median_norm": _median(norms),
            "largest_norm": max(norms, default=None),
            "clip_norm": job.training.clip_norm,
            "clipped": sum(bool(record["clipped"]) for record in steps),
        },
        "halting": _halting(outcome.validation, model.config.answers),
        "inference": inference(model, corpus),
        "independence": independence(model, corpus),
        "exact_match": solved,
        "checkpoints": {
            name: None if folder is None else folder.name for name, folder in (("last", outcome.last), ("best", outcome.best))
        },
    }


def inference(model: CognateModel, corpus: Corpus) -> dict[str, Any]:
    """Shapes, answers used and floating-point operations of a forward pass, with early exit and without, on validation rows."""
    from torch.utils.flop_counter import FlopCounterMode

    rows = [corpus.validation.batch([index]) for index in range(min(PROBED, len(corpus.validation)))]
    counted, used, shape = {}, [], None
    for name, threshold in (("early_exit", None), ("all_answers", 2.0)):
        with FlopCounterMode(display=False) as counter:
            for batch in rows:
                tokens = batch.tokens[:, : _first_document(batch.documents)].to(model.halting_head.weight.device)
                decision = model.decide(tokens, threshold=threshold)
                if threshold is None:
                    used.append(decision.answers_used.flatten())
                    shape = (list(tokens.shape), list(decision.logits.shape))
        counted[name] = counter.get_total_flops()
    answers = torch.cat(used).float()
    return {
        "tokens_shape": shape[0] if shape else None,
        "logits_shape": shape[1] if shape else None,
        "answers_used": answers.mean().item(),
        "answers_used_deviation": answers.std(correction=0).item(),
        "answers": model.config.answers,
        "flops": counted,
        "flops_saved": 1 - counted["early_exit"] / counted["all_answers"],
    }


@torch.no_grad()
def independence(model: CognateModel, corpus: Corpus) -> dict[str, float] | None:
    """By how much later tokens change earlier outputs, and neighbours in the batch each other's, with the weights as they are.

    Largest absolute changes of answers and halting probabilities of two validation rows, in training and in evaluation mode: 0
    where the model is causal and its rows do not mix. `own_influence` is the change at the changed token itself: were it 0,
    nothing would have been tested. None where there are not two rows.
    """
    if len(corpus.validation) < 2:
        return None
    batch = corpus.validation.batch([0, 1]).to(model.halting_head.weight.device)
    middle = batch.tokens.shape[1] // 2
    later, neighbour = batch.tokens.clone(), batch.tokens.clone()
    later[:, middle:] = (later[:, middle:] + 1) % model.config.vocabulary
    neighbour[1] = (neighbour[1] + 1) % model.config.vocabulary
    found = {"future_influence": 0.0, "neighbour_influence": 0.0, "own_influence": 0.0}
    training = model.training
    for mode in (True, False):
        model.train(mode)
        plain, by_later, by_neighbour = (
            model(tokens, batch.positions, batch.documents) for tokens in (batch.tokens, later, neighbour)
        )
        for one, other, tokens in ((plain.answers, by_later.answers, 2), (plain.halting.exp(), by_later.halting.exp(), 1)):
            moved = (one - other).abs()
            before, after = moved.narrow(tokens, 0, middle), moved.narrow(tokens, middle, 1)
            found["future_influence"] = max(found["future_influence"], before.max().item())
            found["own_influence"] = max(found["own_influence"], after.max().item())
        moved = (plain.answers[:, 0] - by_neighbour.answers[:, 0]).abs()
        found["neighbour_influence"] = max(found["neighbour_influence"], moved.max().item())
    model.train(training)
    return found


def _first_document(documents: torch.Tensor | None) -> int | None:
    """The length of a packed row's first document: inference takes one document a row."""
    return None if documents is None else int((documents[0] == documents[0, 0]).sum())


def _halting(validation: dict[str, float] | None, answers: int) -> dict[str, Any] | None:
    """Over the validation tokens, in the steps that they would use at inference."""
    if validation is None:
        return None
    mean = validation["answers_used"]
    return {
        "answers": answers,
        "mean": mean,
        "variance": max(0.0, validation["answers_used_squared"] - mean * mean),
        "histogram": [validation[f"stopped_at_{number}"] for number in range(1, answers + 1)],
        "information": validation["diversity"],
    }


def _median(values: list[float]) -> float | None:
    from statistics import median

    return median(values) if values else None


def text(result: dict[str, Any]) -> str:
    """The summary for a terminal."""
    loss = result["loss"]
    parts = ", ".join(f"{name} {share:.1%}" for name, share in result["parameters"]["shares"].items())
    lines = [
        ("Model", f"{result['parameters']['total']:,} parameters: {parts}"),
        ("Data", describe_data(result["data"])),
        (
            "Training",
            f"{result['steps']:,} steps, {result['tokens']:,} scored tokens, {result['seconds']:.1f} s; {result['ended']}",
        ),
        ("First loss", f"{_number(loss['first'])} (uniform guessing: {loss['expected_first']:.3f})"),
        ("Last loss", _number(loss["last"])),
        ("Gradient", _gradient(result["gradient"])),
        ("Halting", _stopping(result["halting"])),
        ("Inference", _inference(result["inference"])),
        ("Independence", _independence(result["independence"])),
        ("Validation", _validation(result["validation"])),
        ("Exact match", _solved(result["exact_match"])),
    ]
    return "\n".join(f"{name:<14}{value}" for name, value in lines)


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"


def _gradient(gradient: dict[str, Any]) -> str:
    norm = f"norm {_number(gradient['median_norm'])} (median), {_number(gradient['largest_norm'])} at most"
    if gradient["clip_norm"] is None:
        return f"{norm}; not clipped"
    return f"{norm}; clipped to {gradient['clip_norm']:g} in {gradient['clipped']} of {gradient['logged']} logged steps"


def _stopping(halting: dict[str, Any] | None) -> str:
    if halting is None:
        return "not measured"
    stops = " / ".join(f"{share:.0%}" for share in halting["histogram"])
    spread = f"variance {halting['variance']:.3f} over tokens"
    return f"{halting['mean']:.2f} of {halting['answers']} answers used, {spread}; share that stops at each: {stops}"


def _inference(used: dict[str, Any]) -> str:
    shapes = f"tokens {tuple(used['tokens_shape'])} -> logits {tuple(used['logits_shape'])}"
    return f"{shapes}; early exit saves {used['flops_saved']:.1%} of the floating-point operations"


def _independence(found: dict[str, float] | None) -> str:
    if found is None:
        return "not measured"
    later, beside = found["future_influence"], found["neighbour_influence"]
    return f"later tokens change earlier outputs by {later:g}, neighbours in the batch by {beside:g}"


def _validation(validation: dict[str, Any]) -> str:
    if not validation["evaluations"]:
        return "not measured"
    best = f"loss {_number(validation['best'])} at step {validation['best_step']}"
    return f"{best}, the best of {validation['evaluations']} evaluations on held-out rows"


def _solved(solved: dict[str, Any] | None) -> str:
    if solved is None:
        return "not measured"
    by = ", ".join(f"{steps}-step {found['exact_match']:.1%}" for steps, found in solved["by_difficulty"].items())
    related = "" if solved["correlation"] is None else f"; correlation of steps and answers used {solved['correlation']:+.2f}"
    share = f"{solved['exact_match']:.1%}, {solved['right']} of {solved['problems']} held-out problems by free generation"
    return f"{share} ({by}{related})"

"""The figures of a training run, in words: the seed's test block, from measurement."""

from __future__ import annotations

from typing import Any

from cognate.diagnosis.model import Figure
from cognate.diagnosis.training.claim import at, percent, plain, real, shown
from cognate.diagnosis.training.learning import histogram_text


def figures(values: dict[str, Any]) -> tuple[Figure, ...]:
    """One for each line of the block. What was not measured says so."""
    lines = (
        ("Model", _model(values)),
        ("Data", _data(values)),
        ("Training", _training(values)),
        ("Loss", _loss(values)),
        ("Gradient norm", _gradient(values)),
        ("ACT halting", _halting(values)),
        ("Inference", _inference(values)),
        ("Independence", _independence(values)),
        ("Exact match", _solved(values)),
        ("Bad rows", shown(at(values, "data.bad_rows_count"))),
    )
    return tuple(Figure(name, text) for name, text in lines)


def _model(values: dict[str, Any]) -> str:
    shares = at(values, "parameters.shares")
    listed = [f"{plain(name)} {percent(share)}" for name, share in list(shares.items())[:16]] if isinstance(shares, dict) else []
    named = "".join(f", {plain(word)}" for word in (at(values, "preset"), at(values, "specialisation")) if word)
    return f"{shown(at(values, 'parameters.total'))} parameters{named}" + (f": {', '.join(listed)}" if listed else "")


def _data(values: dict[str, Any]) -> str:
    rows = [shown(at(values, f"data.{side}.rows")) for side in ("train", "validation")]
    left_out = [real(at(values, f"data.{side}.left_out_count")) or 0 for side in ("train", "validation")]
    left = f", documents left out: {shown(int(sum(left_out)))}" if any(left_out) else ""
    return f"{plain(shown(at(values, 'data.source')))}, rows to train on: {rows[0]}, held out: {rows[1]}{left}"


def _training(values: dict[str, Any]) -> str:
    steps, tokens, seconds = (shown(at(values, name)) for name in ("steps", "tokens", "seconds"))
    return f"{steps} steps completed, scored tokens: {tokens}, seconds: {seconds}; {plain(shown(at(values, 'ended')))}"


def _loss(values: dict[str, Any]) -> str:
    first, expected = at(values, "loss.first"), at(values, "loss.expected_first")
    apart = ""
    if (one := real(first)) is not None and (other := real(expected)) is not None:
        apart = f", {shown(abs(one - other))} apart"
    last = shown(at(values, "loss.last"))
    return f"{shown(first)} at step 1 (ln of the vocabulary: {shown(expected)}{apart}), {last} at the last logged step"


def _gradient(values: dict[str, Any]) -> str:
    median, largest = shown(at(values, "gradient.median_norm")), shown(at(values, "gradient.largest_norm"))
    return f"{median} (median), {largest} at most, over {shown(at(values, 'gradient.logged'))} logged steps, before clipping"


def _halting(values: dict[str, Any]) -> str:
    if at(values, "halting") is None:
        return shown(None)
    mean, answers, variance = (shown(at(values, f"halting.{name}")) for name in ("mean", "answers", "variance"))
    stops = histogram_text(at(values, "halting.histogram"))
    return f"{mean} of {answers} answers used, variance over tokens {variance}; tokens that stop at each: {stops}"


def _inference(values: dict[str, Any]) -> str:
    if at(values, "inference") is None:
        return shown(None)
    tokens, logits = (_shape(at(values, f"inference.{name}_shape")) for name in ("tokens", "logits"))
    saved = percent(at(values, "inference.flops_saved"))
    return f"tokens {tokens} -> logits {logits}; floating-point operations saved by early exit: {saved}"


def _independence(values: dict[str, Any]) -> str:
    if at(values, "independence") is None:
        return shown(None)
    later, beside, own = (shown(at(values, f"independence.{name}_influence")) for name in ("future", "neighbour", "own"))
    return f"later tokens change earlier outputs by {later}, neighbours in the batch by {beside} (a token its own by {own})"


def _shape(value: Any) -> str:
    return f"({', '.join(plain(size) for size in value[:8])})" if isinstance(value, list) else shown(value)


def _solved(values: dict[str, Any]) -> str:
    if at(values, "exact_match") is None:
        return shown(None)
    share = percent(at(values, "exact_match.exact_match"))
    right, problems = shown(at(values, "exact_match.right")), shown(at(values, "exact_match.problems"))
    text = f"{share}, {right} of {problems} held-out problems by free generation"
    by = at(values, "exact_match.by_difficulty")
    for steps, found in list(by.items())[:16] if isinstance(by, dict) else ():
        text += f"; {plain(steps)}-step {percent(at(found, 'exact_match'))} (answers used: {shown(at(found, 'answers_used'))})"
    correlation = at(values, "exact_match.correlation")
    return text + (f"; correlation of steps and answers used {shown(correlation)}" if correlation is not None else "")

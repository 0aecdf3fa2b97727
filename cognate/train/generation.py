"""Free-running generation: the model reads its own words, so that what it was shown in training cannot help it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cognate.errors import UsageError
from cognate.model.model import CognateModel
from cognate.train.evaluate import evaluating

ROWS = 256  # prompts decoded at a time


@dataclass
class Generated:
    """What followed one prompt."""

    tokens: list[int] = field(default_factory=list)  # without the end token
    answers_used: list[int] = field(default_factory=list)  # for each token, the end token included
    ended: bool = False  # by the end token, not by the limit


def generate(
    model: CognateModel,
    prompts: Sequence[Sequence[int]],
    *,
    end: int | None,
    limit: int,
    temperature: float = 0.0,
    seed: int = 0,
    threshold: float | None = None,
) -> list[Generated]:
    """At most `limit` tokens after each of `prompts` (token ids), by key-value cache and early exit.

    A temperature of 0 takes the most probable token. Prompts of one length are decoded together; what follows one does not
    depend on
    the others. Raises UsageError for an empty prompt, or one that leaves no position free. The model's mode is left as it was.
    """
    by_length: dict[int, list[int]] = {}
    for number, prompt in enumerate(prompts):
        if not 0 < len(prompt) < model.config.positions:
            raise UsageError(
                f"A prompt of {len(prompt)} tokens cannot be continued: give one of 1 to {model.config.positions - 1} tokens."
            )
        by_length.setdefault(len(prompt), []).append(number)
    found = [Generated() for _ in prompts]
    device = next(model.parameters()).device
    with evaluating(model):
        for _, numbers in sorted(by_length.items()):
            for start in range(0, len(numbers), ROWS):
                group = numbers[start : start + ROWS]
                generators = [torch.Generator().manual_seed(seed + number) for number in group]
                tokens = torch.tensor([list(prompts[number]) for number in group], device=device)
                steps = decoding(model, tokens, generators, limit, temperature, threshold)
                _collect(steps, [found[number] for number in group], end)
    return found


def decoding(
    model: CognateModel,
    tokens: Tensor,
    generators: list[torch.Generator],
    limit: int,
    temperature: float = 0.0,
    threshold: float | None = None,
) -> Iterator[tuple[list[int], list[int]]]:
    """The token chosen next for each row of the prompts `tokens` (B, T) int64, and the answers it took; `limit` times at most."""
    cache = model.new_cache()
    for _ in range(min(limit, model.config.positions - tokens.shape[1])):
        decision = model.decide(tokens, cache, threshold)
        tokens = _choose(decision.logits[:, -1], temperature, generators)[:, None]
        yield tokens[:, 0].tolist(), decision.answers_used[:, -1].tolist()


def _collect(steps: Iterator[tuple[list[int], list[int]]], found: list[Generated], end: int | None) -> None:
    """Fill `found`, one entry a row, until all have ended."""
    for chosen, used in steps:
        for generated, token, answers in zip(found, chosen, used, strict=True):
            if not generated.ended:
                generated.answers_used.append(answers)
                generated.ended = token == end
                if not generated.ended:
                    generated.tokens.append(token)
        if all(generated.ended for generated in found):
            return


def _choose(logits: Tensor, temperature: float, generators: list[torch.Generator]) -> Tensor:
    """One token a row, (B, V) -> (B) int64; each row draws from a generator of its own."""
    if temperature <= 0:
        return logits.argmax(-1)
    p = torch.softmax(logits.float() / temperature, -1).cpu()
    return torch.cat([torch.multinomial(row, 1, generator=own) for row, own in zip(p, generators, strict=True)]).to(logits.device)

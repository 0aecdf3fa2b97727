"""The recursion: a thought is refined by looking at the input and at the current answers, then the answer is updated by it.

    z_0, y_0 = linear(x), linear(x)
    for each step:   (outer)
        for each micro-step:   z = norm(z + mlp(z, look at x, look at y))
        y = norm(y + mlp(y, z))

Both looks are causal. Every y is an answer: each is supervised, and the halting head says at which one a token may stop.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cognate.model.attention import Attention, Visibility
from cognate.model.config import ModelConfig


class Refiner(nn.Module):
    """One micro-step of thinking."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.input_attention = Attention(width, heads, bias=True)
        self.answer_attention = Attention(width, heads, bias=True)
        self.mlp = nn.Sequential(nn.Linear(3 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.norm = nn.LayerNorm(width)

    def forward(self, z: Tensor, inputs: tuple[Tensor, Tensor], answers: tuple[Tensor, Tensor], view: Visibility) -> Tensor:
        """Thoughts (B, Q, D) refined; `inputs` and `answers` are the keys and values of features and answers."""
        seen = self.input_attention(z, *inputs, view)
        known = self.answer_attention(z, *answers, view)
        return self.norm(z + self.mlp(torch.cat((z, seen, known), -1)))


class Updater(nn.Module):
    """The answer, changed by what was thought."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.norm = nn.LayerNorm(width)

    def forward(self, y: Tensor, z: Tensor) -> Tensor:
        """(B, Q, D) and (B, Q, D) -> (B, Q, D)."""
        return self.norm(y + self.mlp(torch.cat((y, z), -1)))


class Recursion(nn.Module):
    """All answers of all tokens, as training needs them; `early_exit` computes only those that are needed."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.steps = config.steps
        self.micro_steps = config.micro_steps
        self.initial_thought = nn.Linear(config.width, config.width)
        self.initial_answer = nn.Linear(config.width, config.width)
        self.refiner = Refiner(config.width, config.heads)
        self.updater = Updater(config.width)

    def forward(self, x: Tensor, view: Visibility) -> Tensor:
        """Answers (steps + 1, B, T, D) for the features `x` (B, T, D)."""
        z, y = self.initial_thought(x), self.initial_answer(x)
        inputs = self.refiner.input_attention.keys_values(x)  # the features stay: once is enough
        answers = [y]
        for _ in range(self.steps):
            z, y = self.step(z, y, inputs, self.refiner.answer_attention.keys_values(y), view)
            answers.append(y)
        return torch.stack(answers)

    def step(
        self, z: Tensor, y: Tensor, inputs: tuple[Tensor, Tensor], answers: tuple[Tensor, Tensor], view: Visibility
    ) -> tuple[Tensor, Tensor]:
        """One outer step for the queries `z`, `y` (B, Q, D), which may be fewer than the keys."""
        for _ in range(self.micro_steps):
            z = self.refiner(z, inputs, answers, view)
        return z, self.updater(y, z)

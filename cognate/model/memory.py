"""Long-term memory: an exponentially fading trace of the sequence, without a loop over time.

    m_t = d * m_{t-1} + (1 - d) * write(h_t),    d = exp(-1 / horizon)

Each sequence starts from zero, or from an explicit state; nothing is kept in the module, so no output depends on what
the model saw before or on its neighbours in the batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

CHUNK = 32  # tokens; the scan inside a chunk and the carry between chunks are one matrix product each


class Memory(nn.Module):
    """Adds to each token what the faded past says, as far as a gate lets it through."""

    def __init__(self, width: int, memory_width: int, horizon: float) -> None:
        super().__init__()
        self.decay = math.exp(-1 / horizon)
        self.write = nn.Linear(width, memory_width, bias=False)
        self.read = nn.Linear(memory_width, width, bias=False)
        self.gate = nn.Sequential(nn.Linear(2 * width, memory_width), nn.SiLU(), nn.Linear(memory_width, width))

    def forward(self, h: Tensor, documents: Tensor | None = None, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`h` (B, T, D) with its memories added, and the state (B, M) after the last token, which continues the sequence."""
        trace = fading_sum(self.write(h) * (1 - self.decay), self.decay, documents, state)  # (B, T, M)
        recalled = self.read(trace.to(h.dtype))  # (B, T, D)
        gate = torch.sigmoid(self.gate(torch.cat((h, recalled), -1)))
        return h + gate * recalled, trace[:, -1]


def fading_sum(x: Tensor, decay: float, documents: Tensor | None = None, state: Tensor | None = None) -> Tensor:
    """s_t = decay * s_{t-1} + x_t over `x` (B, T, M), as float32 (B, T, M).

    `documents` (B, T) int64 starts from zero at each new number; documents must be contiguous. `state` (B, M) is s before the
    first token, and excludes `documents`. Two Toeplitz products, inside chunks of CHUNK tokens and between them, in place of a
    loop.
    """
    tokens = x.shape[1]
    # A power of the decay in half precision would forget too soon.
    with torch.autocast(x.device.type, enabled=False):
        chunked = _in_chunks(x.float())  # (B, N, C, M)
        numbers = None if documents is None else _in_chunks(documents, repeat_last=True)  # (B, N, C)
        inside = _powers(CHUNK, decay, x.device)  # (C, C)
        between = _powers(chunked.shape[1], decay**CHUNK, x.device)  # (N, N)
        if numbers is not None:
            last = numbers[:, :, -1]  # (B, N): the document that each chunk hands on
            inside = inside * (numbers[:, :, :, None] == numbers[:, :, None, :])
            between = between * (last[:, :, None] == last[:, None, :])
        local = inside @ chunked
        carried = between @ local[:, :, -1]  # (B, N, M): the sum at the end of each chunk
        before = torch.cat((torch.zeros_like(carried[:, :1]), carried[:, :-1]), 1)  # (B, N, M): at its beginning
        if state is not None:
            before = before + _geometric(decay**CHUNK, chunked.shape[1], x.device) * state.float()[:, None]
        faded = _geometric(decay, CHUNK, x.device) * decay  # (C, 1)
        if numbers is not None:
            before_number = torch.cat((numbers[:, :1, 0], last[:, :-1]), 1)  # (B, N)
            faded = faded * (numbers == before_number[:, :, None])[..., None]  # (B, N, C, 1)
        return (local + faded * before[:, :, None]).flatten(1, 2)[:, :tokens]


def _in_chunks(x: Tensor, repeat_last: bool = False) -> Tensor:
    missing = -x.shape[1] % CHUNK
    if missing:
        filler = x[:, -1:].expand(-1, missing, *x.shape[2:]) if repeat_last else x.new_zeros(x.shape[0], missing, *x.shape[2:])
        x = torch.cat((x, filler), 1)
    return x.unflatten(1, (-1, CHUNK))


def _powers(size: int, base: float, device: torch.device) -> Tensor:
    """base^(i - j) at and below the diagonal, 0 above: (size, size) float32."""
    at = torch.arange(size, device=device)
    distance = at[:, None] - at[None, :]
    return torch.where(distance >= 0, base ** distance.clamp(min=0).float(), 0.0)


def _geometric(base: float, size: int, device: torch.device) -> Tensor:
    """base^i as a column: (size, 1) float32."""
    return (base ** torch.arange(size, device=device).float())[:, None]

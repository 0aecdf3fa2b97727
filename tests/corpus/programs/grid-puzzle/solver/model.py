import torch
from torch import nn


class Round(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.look = nn.Conv1d(width, width, 3, padding=1)
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, state, given):
        seen = self.look(state.transpose(1, 2)).transpose(1, 2)
        return self.norm(state + self.mlp(torch.cat([seen, given], -1)))


class GridSolver(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.o = o
        self.symbol, self.reach = nn.Embedding(o.symbols, o.width), nn.Embedding(4, o.width)
        self.round = Round(o.width)
        self.halt, self.out = nn.Linear(o.width, 1), nn.Linear(o.width, o.symbols)
        nn.init.constant_(self.halt.bias, -1.0)

    def forward(self, x, reach):
        given = self.symbol(x) + self.reach(reach)
        state = given
        running = torch.ones(x.shape, dtype=torch.bool)
        spent, ponder = torch.zeros(x.shape), torch.zeros(x.shape)
        answer = torch.zeros_like(state)
        rounds = torch.zeros(x.shape)
        for n in range(self.o.max_rounds):
            new = self.round(state, given)
            state = torch.where(running[..., None], new, state)
            p = torch.sigmoid(self.halt(state)).squeeze(-1)
            last = running & ((spent + p >= 1 - self.o.epsilon) | (n == self.o.max_rounds - 1))
            go = running & ~last
            weight = torch.where(last, 1 - spent, torch.where(go, p, torch.zeros_like(p)))
            answer = answer + weight[..., None] * state
            ponder = ponder + running.float() + torch.where(last, 1 - spent, torch.zeros_like(p))
            rounds = rounds + running.float()
            spent = spent + torch.where(go, p, torch.zeros_like(p))
            running = go
        return self.out(answer), ponder, rounds

"""Encoder with an exit after every layer, so that inference can stop early on a budget."""
from dataclasses import dataclass, field

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass
class RunConfig:
    layers: int = 4
    d: int = 40
    vocab: int = 12
    length: int = 10
    aux_weight: float = 0.3
    lr: float = 2e-3
    batch: int = 48
    steps: int = 350
    log_every: int = 70
    budgets: list = field(default_factory=lambda: [1, 2, 3, 4])


def task(n, cfg, seed):
    # output at i: is token i equal to its mirror position, and is it in the upper half of the vocabulary?
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(cfg.vocab, (n, cfg.length), generator=g)
    copy = torch.rand(n, cfg.length, generator=g) < 0.5
    x = torch.where(copy, x.flip(1), x)
    y = (x == x.flip(1)).long() + 2 * (x >= cfg.vocab // 2).long()
    return x, y


class ExitEncoder(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.emb = nn.Embedding(cfg.vocab, cfg.d)
        self.pos = nn.Parameter(torch.randn(cfg.length, cfg.d) * 0.5)
        make = lambda: nn.TransformerEncoderLayer(cfg.d, 4, 2 * cfg.d, 0.0, batch_first=True, norm_first=True)
        self.layers = nn.ModuleList(make() for _ in range(cfg.layers))
        self.exits = nn.ModuleList(nn.Sequential(nn.LayerNorm(cfg.d), nn.Linear(cfg.d, 4)) for _ in range(cfg.layers))

    def forward(self, x, budget=None):
        h = self.emb(x) + self.pos
        outs = []
        for layer, head in list(zip(self.layers, self.exits))[:budget]:
            h = layer(h)
            outs.append(head(h))
        return outs


class Runner:
    def __init__(self, cfg):
        self.cfg = cfg
        self.model = ExitEncoder(cfg)
        self.opt = torch.optim.AdamW(self.model.parameters(), lr=cfg.lr, weight_decay=0.0)
        self.train_data, self.dev_data = task(6000, cfg, 0), task(400, cfg, 1)

    def compute_loss(self, x, y):
        outs = self.model(x)
        loss = F.cross_entropy(outs[-1].transpose(1, 2), y)
        aux = 0.0
        for out in outs[:-1]:
            aux = aux + self.cfg.aux_weight * F.cross_entropy(out.transpose(1, 2), y)
        return loss + aux, {"final": loss.item(), "aux": float(aux)}

    def fit(self):
        x, y = self.train_data
        for step in range(1, self.cfg.steps + 1):
            i = torch.randint(len(x), (self.cfg.batch,))
            loss, parts = self.compute_loss(x[i], y[i])
            self.opt.zero_grad()
            loss.backward()
            self.opt.step()
            if step % self.cfg.log_every == 0:
                print(step, " ".join(f"{k}={v:.3f}" for k, v in parts.items()), "acc by budget", self.by_budget())

    @torch.no_grad()
    def by_budget(self):
        x, y = self.dev_data
        self.model.eval()
        acc = [(self.model(x, b)[-1].argmax(-1) == y).float().mean().item() for b in self.cfg.budgets]
        self.model.train()
        return [round(a, 3) for a in acc]


torch.manual_seed(4)
Runner(RunConfig()).fit()

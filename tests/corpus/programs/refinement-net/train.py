"""Recursive refinement net: one shared block, fixed depth, deep supervision with carried (detached) state.

Task: fill a row with running maxima (each cell = max of everything to its left, inclusive).
"""
import torch
import torch.nn as nn
import torch.nn.functional as F


class Refiner(nn.Module):
    def __init__(self, vocab=8, length=10, d=64):
        super().__init__()
        self.embed = nn.Embedding(vocab, d)
        self.pos = nn.Parameter(0.02 * torch.randn(length, d))
        self.mix = nn.Linear(length, length)
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.mlp = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))
        self.readout = nn.Linear(d, vocab)
        self.register_buffer("z0", 0.1 * torch.randn(length, d))

    def core(self, z, e):
        h = z + e
        h = self.norm1(h + self.mix(h.transpose(1, 2)).transpose(1, 2))
        return self.norm2(h + self.mlp(h))

    def forward(self, z, x, cycles=3):
        e = self.embed(x) + self.pos
        for _ in range(cycles):
            z = self.core(z, e)
        return z, self.readout(z)


class Trainer:
    SUP = 4

    def __init__(self, seed=0):
        torch.manual_seed(seed)
        self.model = Refiner()
        self.opt = torch.optim.AdamW(self.model.parameters(), lr=2e-3, weight_decay=0.01)
        self.val = self.batch(500)

    @staticmethod
    def batch(n):
        x = torch.randint(0, 8, (n, 10))
        return x, x.cummax(1).values

    def train_step(self):
        self.model.train()
        x, y = self.batch(64)
        z = self.model.z0.expand(len(x), -1, -1)
        losses = []
        for _ in range(self.SUP):  # an optimizer step at every supervision segment
            z, logits = self.model(z, x)
            loss = F.cross_entropy(logits.reshape(-1, 8), y.reshape(-1))
            self.opt.zero_grad()
            loss.backward()
            self.opt.step()
            z = z.detach()
            losses.append(loss.item())
        return losses

    @torch.no_grad()
    def validate(self):
        self.model.eval()
        x, y = self.val
        z = self.model.z0.expand(len(x), -1, -1)
        accs = []
        for _ in range(self.SUP):
            z, logits = self.model(z, x)
            accs.append((logits.argmax(-1) == y).float().mean().item())
        return accs

    def fit(self, steps=90):
        for s in range(steps):
            losses = self.train_step()
            if s % 10 == 0 or s == steps - 1:
                print(s, "losses", [round(v, 3) for v in losses], "val cell acc", [round(v, 3) for v in self.validate()])


if __name__ == "__main__":
    Trainer().fit()

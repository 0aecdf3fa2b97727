"""Early-stopping reader, expected loss over stopping times (as in PonderNet) with a length penalty."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

STEPS, COLOURS, SHAPES = 8, 5, 16


def scenes(n, seed):
    """a cue token tells which colour to report; it may come anywhere after the first item"""
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(COLOURS, SHAPES, (n, STEPS), generator=g)
    where = torch.randint(0, STEPS, (n,), generator=g)
    y = torch.randint(COLOURS, (n,), generator=g)
    x[torch.arange(n), where] = y
    return TensorDataset(x, y, where)


class EarlyReader(nn.Module):
    def __init__(self, d=40):
        super().__init__()
        self.look = nn.Embedding(SHAPES, d)
        self.memory = nn.GRUCell(d, d)
        self.stop_logit = nn.Linear(d, 1)
        self.answer = nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Linear(d, COLOURS))
        nn.init.constant_(self.stop_logit.bias, -1.0)

    def forward(self, x):
        h = torch.zeros(x.size(0), self.memory.hidden_size)
        still, weights, answers = torch.ones(x.size(0)), [], []
        for t in range(x.size(1)):
            h = self.memory(self.look(x[:, t]), h)
            lam = torch.sigmoid(self.stop_logit(h)).squeeze(-1) if t < x.size(1) - 1 else torch.ones(x.size(0))
            weights.append(still * lam)
            still = still * (1 - lam)
            answers.append(self.answer(h))
        return torch.stack(weights, 1), torch.stack(answers, 1)


def expected_loss(weights, answers, y, length_cost):
    nll = F.cross_entropy(answers.flatten(0, 1), y.repeat_interleave(answers.size(1)), reduction="none").view_as(weights)
    t = torch.arange(1, weights.size(1) + 1)
    return (weights * nll).sum(1).mean() + length_cost * (weights * t).sum(1).mean()


def evaluate(model, ds):
    x, y, where = ds.tensors
    with torch.no_grad():
        w, a = model(x)
    stop = (w.cumsum(1) > 0.5).float()
    stop[:, -1] = 1
    n = stop.argmax(1)
    acc = (a[torch.arange(len(x)), n].argmax(-1) == y).float().mean().item()
    n = n.float() + 1
    return acc, n.mean().item(), n[where < 2].mean().item(), n[where > 5].mean().item()


if __name__ == "__main__":
    torch.manual_seed(6)
    train, val = scenes(4000, 0), scenes(600, 1)
    model = EarlyReader()
    opt = torch.optim.RMSprop(model.parameters(), lr=1.5e-3)
    for epoch in range(1, 11):
        running = 0.0
        for x, y, _ in DataLoader(train, batch_size=64, shuffle=True):
            w, a = model(x)
            loss = expected_loss(w, a, y, 0.02)
            opt.zero_grad()
            loss.backward()
            opt.step()
            running += loss.item() * len(x)
        acc, mean, early, late = evaluate(model, val)
        print(f"epoch {epoch:>2} train loss {running / len(train):.4f} | val acc {acc:.3f} | stop at {mean:.2f} (early cue {early:.2f}, late cue {late:.2f})")

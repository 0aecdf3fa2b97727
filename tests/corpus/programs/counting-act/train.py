import torch
import torch.nn as nn
import torch.nn.functional as F

NODES, COLORS = 8, 4


def forest(n):
    """random trees; every root (parent of itself) has a colour, answer = colour of the root above the asked node"""
    parent = torch.stack([torch.randint(max(0, i - 2), i, (n,)) if i > 1 else torch.full((n,), i) for i in range(NODES)], 1)
    colors = torch.randint(COLORS, (n, NODES))
    start = torch.randint(0, NODES, (n,))
    node, depth = start.clone(), torch.zeros(n, dtype=torch.long)
    for _ in range(NODES):
        up = parent.gather(1, node[:, None]).squeeze(1)
        depth += (up != node).long()
        node = up
    return parent, colors, start, colors.gather(1, node[:, None]).squeeze(1), depth


class Climber(nn.Module):
    """Message passing from parent to child, number of rounds decided by the net (ACT, Graves 2016)."""

    def __init__(self, size=40, limit=8, eps=0.02, tau=0.01):
        super().__init__()
        self.color = nn.Embedding(COLORS, size)
        self.root = nn.Embedding(2, size)
        self.cell = nn.GRUCell(size, size)
        self.halt = nn.Linear(size, 1)
        self.dec = nn.Linear(size, COLORS)
        self.limit, self.eps, self.tau = limit, eps, tau
        nn.init.constant_(self.halt.bias, -2.0)

    def forward(self, parent, colors, start):
        n = len(start)
        rows = torch.arange(n)
        is_root = (parent == torch.arange(NODES)).long()
        h = torch.tanh(self.color(colors) + self.root(is_root))
        total, ponder, steps = torch.zeros(n), torch.zeros(n), torch.zeros(n)
        on, out = torch.ones(n), torch.zeros(n, h.size(-1))
        for i in range(self.limit):
            above = h[rows[:, None], parent]
            h = self.cell(above.flatten(0, 1), h.flatten(0, 1)).view_as(h)
            s = h[rows, start]
            p = torch.sigmoid(self.halt(s)).squeeze(1)
            stop = on * (((total + p) >= 1 - self.eps) | torch.tensor(i == self.limit - 1)).float()
            go = on - stop
            out = out + (go * p + stop * (1 - total))[:, None] * s
            ponder = ponder + on + stop * (1 - total)
            steps = steps + on
            total = total + go * p
            on = go
        return self.dec(out), ponder, steps

    def loss(self, batch):
        parent, colors, start, y, _ = batch
        logits, ponder, steps = self(parent, colors, start)
        ce = F.cross_entropy(logits, y)
        loss = ce + self.tau * ponder.mean()
        return loss, ce.item(), steps.mean().item(), (logits.argmax(1) == y).float()


class Experiment:
    def __init__(self, iters=500, lr=3e-3, batch=80):
        torch.manual_seed(0)
        self.net = Climber()
        self.opt = torch.optim.Adam(self.net.parameters(), lr=lr)
        self.iters, self.bs = iters, batch

    def run(self):
        curve = []
        for i in range(1, self.iters + 1):
            loss, ce, steps, hit = self.net.loss(forest(self.bs))
            self.opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
            self.opt.step()
            curve.append((ce, steps, hit.mean().item()))
            if i % 100 == 0:
                print("i=%d ce=%.4f steps=%.2f acc=%.3f" % (i, *torch.tensor(curve[-50:]).mean(0).tolist()))

    @torch.no_grad()
    def by_depth(self):
        batch = forest(2000)
        hit, depth = self.net.loss(batch)[3], batch[-1]
        return {d: round(hit[depth == d].mean().item(), 3) for d in range(int(depth.max()) + 1) if (depth == d).any()}


if __name__ == "__main__":
    exp = Experiment()
    exp.run()
    print("accuracy by depth of the asked node:", exp.by_depth())

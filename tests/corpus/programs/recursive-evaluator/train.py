"""Weight-shared recursive transformer (one block, six passes) that evaluates running maxima."""
import torch
import torch.nn as nn
import torch.nn.functional as F

CONFIG = {"loops": 6, "dim": 48, "length": 12, "vocab": 12, "lr": 2e-3, "batch": 48, "steps": 350}


def running_max(n, seed):
    x = torch.randint(CONFIG["vocab"], (n, CONFIG["length"]), generator=torch.Generator().manual_seed(seed))
    return x, x.cummax(dim=1).values


class RecursiveNet(nn.Module):
    def __init__(self, c):
        super().__init__()
        d = c["dim"]
        self.loops = c["loops"]
        self.inp = nn.Embedding(c["vocab"], d)
        self.pos = nn.Parameter(torch.randn(c["length"], d) * 0.2)
        self.block = nn.TransformerEncoderLayer(d, 4, 2 * d, 0.0, batch_first=True, norm_first=True)
        self.inject = nn.Linear(2 * d, d)
        self.norm = nn.LayerNorm(d)
        self.out = nn.Linear(d, c["vocab"])

    def forward(self, x, loops=None):
        e = self.inp(x) + self.pos
        z = torch.zeros_like(e)
        for _ in range(loops or self.loops):
            z = self.norm(self.block(self.inject(torch.cat([z, e], dim=-1))))
        return self.out(z)


class Loop:
    def __init__(self, c, seed=0):
        torch.manual_seed(seed)
        self.c, self.net = c, RecursiveNet(c)
        self.opt = torch.optim.AdamW(self.net.parameters(), lr=c["lr"], weight_decay=0.01)
        self.train, self.test = running_max(5000, 0), running_max(400, 1)

    def step(self):
        i = torch.randint(len(self.train[0]), (self.c["batch"],))
        loss = F.cross_entropy(self.net(self.train[0][i]).transpose(1, 2), self.train[1][i])
        self.opt.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.opt.step()
        return loss.item(), norm.item()

    @torch.no_grad()
    def test_acc(self):
        self.net.eval()
        acc = (self.net(self.test[0]).argmax(-1) == self.test[1]).float().mean().item()
        self.net.train()
        return acc

    def run(self):
        for s in range(1, self.c["steps"] + 1):
            loss, norm = self.step()
            if s % 50 == 0:
                print("%d,%.4f,%.3f,%.4f" % (s, loss, norm, self.test_acc()))


if __name__ == "__main__":
    loop = Loop(CONFIG)
    print("step,loss,grad_norm,test_acc")
    loop.run()

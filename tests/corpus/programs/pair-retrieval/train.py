import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(211)


def pairs(n, gen):
    """the same scene seen by two different sensors"""
    a = torch.randn(10, 32, generator=torch.Generator().manual_seed(1)) / 3
    b = torch.randn(10, 20, generator=torch.Generator().manual_seed(2)) / 3
    scene = torch.randn(n, 10, generator=gen)
    left = torch.tanh(scene @ a) + 0.1 * torch.randn(n, 32, generator=gen)
    right = torch.sin(scene @ b) + 0.1 * torch.randn(n, 20, generator=gen)
    return left, right


class Tower(nn.Module):
    def __init__(self, n_in, d=24):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(n_in, 96), nn.GELU(), nn.Linear(96, d))

    def forward(self, x):
        return F.normalize(self.net(x), dim=1)


class TwoTower(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = Tower(32), Tower(20)
        self.log_scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, a, b):
        return self.left(a), self.right(b), self.log_scale.clamp(max=4.0).exp()


def info_nce(za, zb, scale):
    logits = scale * za @ zb.t()
    labels = torch.arange(len(za))
    return 0.5 * (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels))


# %%
gen = torch.Generator().manual_seed(211)
a, b = pairs(4096, gen)
av, bv = pairs(256, gen)
model = TwoTower()
opt = torch.optim.AdamW(model.parameters(), lr=2e-3)

# %%
for epoch in range(12):
    model.train()
    run = []
    for idx in torch.randperm(len(a)).split(128):
        loss = info_nce(*model(a[idx], b[idx]))
        opt.zero_grad()
        loss.backward()
        opt.step()
        run.append(loss.item())
    model.eval()
    with torch.no_grad():
        za, zb, scale = model(av, bv)
        hit = ((za @ zb.t()).argmax(1) == torch.arange(256)).float().mean()
    print(f"epoch {epoch:2d} | nce {sum(run) / len(run):.3f} | val nce {info_nce(za, zb, scale):.3f} | retrieval@1 {hit:.3f} | scale {scale:.1f}")

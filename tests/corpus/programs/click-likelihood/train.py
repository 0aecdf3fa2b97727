# Click prediction with a hand-written likelihood
import torch
from torch import nn

torch.manual_seed(19)


class Likelihood(nn.Module):
    def forward(self, z, clicked):
        ll = clicked * nn.functional.logsigmoid(z) + (1 - clicked) * nn.functional.logsigmoid(-z)
        return -ll.mean()


class ClickModel(nn.Module):
    def __init__(self, fields=(30, 20, 12), dim=8, dense=6):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(f, dim) for f in fields)
        self.mlp = nn.Sequential(nn.Linear(len(fields) * dim + dense, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, cat, dense):
        e = [t(cat[:, j]) for j, t in enumerate(self.tables)]
        return self.mlp(torch.cat(e + [dense], 1)).squeeze(1)


def impressions(n):
    cat = torch.stack([torch.randint(0, f, (n,)) for f in (30, 20, 12)], 1)
    dense = torch.randn(n, 6)
    z = 6 * dense[:, 0] + 3 * dense[:, 1] * (cat[:, 0] % 2) - 2 * (cat[:, 1] % 3 == 0).float()
    return cat, dense, (z > 0).float()


cat, dense, y = impressions(3000)
vc, vd, vy = impressions(600)
model, crit = ClickModel(), Likelihood()
opt = torch.optim.Adam(model.parameters(), lr=4e-3)
step = 0
for epoch in range(40):
    for b in torch.randperm(3000).split(60):
        loss = crit(model(cat[b], dense[b]), y[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
        step += 1
    with torch.no_grad():
        z = model(vc, vd)
    if epoch % 2 == 1:
        print(f"epoch {epoch + 1} step {step} batch loss {loss.item():.5f} val acc {((z > 0).float() == vy).float().mean():.3f}")

# %% Pretrain a forecaster of 6 sensors, then fit only a small energy head on top of it
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(215)
SENSORS, T = 6, 20


def plant(n, gen):
    """coupled oscillators, plus the heat they give off at the end"""
    ph = 6.2832 * torch.rand(n, 2, generator=gen)
    amp = 0.5 + torch.rand(n, 2, generator=gen)
    t = torch.arange(T + 1) / 4.0
    base = torch.stack([amp[:, :1] * torch.sin(t + ph[:, :1]), amp[:, 1:] * torch.sin(1.7 * t + ph[:, 1:])], 2)
    mix = torch.randn(2, SENSORS, generator=torch.Generator().manual_seed(4))
    x = base @ mix + 0.05 * torch.randn(n, T + 1, SENSORS, generator=gen)
    heat = x[:, -2].pow(2).sum(1, keepdim=True)
    return x, torch.log1p(heat) - 1.2


class Backbone(nn.Module):
    def __init__(self, hidden=40):
        super().__init__()
        self.gru = nn.GRU(SENSORS, hidden, batch_first=True)
        self.next = nn.Linear(hidden, SENSORS)

    def state(self, x):
        return self.gru(x)[1][-1]

    def forward(self, x):
        return self.next(self.state(x))


gen = torch.Generator().manual_seed(215)
x, heat = plant(2500, gen)
xv, heat_v = plant(500, gen)

# %% stage one: next-step prediction
backbone = Backbone()
opt = torch.optim.Adam(backbone.parameters(), lr=3e-3)
for epoch in range(6):
    total = 0.0
    for idx in torch.randperm(len(x)).split(50):
        loss = F.mse_loss(backbone(x[idx, :-1]), x[idx, -1])
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() * len(idx)
    print(f"forecast epoch {epoch} mse {total / len(x):.4f}")

# %% stage two: the state vectors are good enough, train the head alone
head = nn.Sequential(nn.Linear(40, 48), nn.ReLU(), nn.Linear(48, 1))
head_opt = torch.optim.Adam(head.parameters(), lr=2e-3)
backbone.eval()
for epoch in range(10):
    head.train()
    total = 0.0
    for idx in torch.randperm(600).split(30):
        with torch.no_grad():
            s = backbone.state(x[idx, :-1])
        loss = F.mse_loss(head(s), heat[idx])
        head_opt.zero_grad()
        loss.backward()
        head_opt.step()
        total += loss.item() * len(idx)
    head.eval()
    with torch.no_grad():
        pred = head(backbone.state(xv[:, :-1]))
    r2 = 1 - F.mse_loss(pred, heat_v) / heat_v.var()
    print(f"head epoch {epoch} mse {total / 600:.4f} r2 {r2:.3f}")

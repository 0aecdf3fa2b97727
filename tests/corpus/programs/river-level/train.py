"""Predict next-day river level from a station table with pandas-like column handling."""
import torch
import torch.nn as nn
import torch.nn.functional as F

COLUMNS = ["level", "rain", "temp", "snow", "gauge_status", "wind"]


def station_table(days, gen):
    t = torch.arange(days).float()
    rain = torch.relu(torch.randn(days, generator=gen)) * 6
    temp = 9 + 10 * torch.sin(2 * torch.pi * t / 365) + 2 * torch.randn(days, generator=gen)
    snow = torch.relu(-temp) * 3
    wind = 4 + torch.randn(days, generator=gen).abs() * 2
    level = torch.zeros(days)
    level[0] = 100.0
    for d in range(1, days):
        melt = 0.5 * snow[d - 1] * float(temp[d] > 0)
        level[d] = 100 + 0.8 * (level[d - 1] - 100) + 1.5 * rain[d - 1] + melt + 0.5 * torch.randn(1, generator=gen)
    status = torch.full((days,), 2.0)
    return torch.stack([level, rain, temp, snow, status, wind], 1)


class RiverModel(nn.Module):
    def __init__(self, n_cols, lags=4):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(n_cols * lags, 48), nn.Softplus(), nn.Linear(48, 1))

    def forward(self, x):
        return self.net(x.flatten(1)).squeeze(1)


def lagged(rows, lags=4):
    x = rows.unfold(0, lags, 1)[:-1]
    return x, rows[lags:, 0]


torch.manual_seed(10)
gen = torch.Generator().manual_seed(10)
rows = station_table(1500, gen)
spread = rows.std(0).clamp_min(1e-6)
rows = (rows - rows.mean(0)) / spread
print("columns:", ", ".join(COLUMNS), "| rows:", len(rows))
x, y = lagged(rows)
x_train, y_train, x_val, y_val = x[:1200], y[:1200], x[1200:], y[1200:]

model = RiverModel(len(COLUMNS))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(20):
    model.train()
    total = 0.0
    for idx in torch.randperm(len(x_train)).split(40):
        loss = F.huber_loss(model(x_train[idx]), y_train[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(idx)
    model.eval()
    with torch.no_grad():
        val = F.huber_loss(model(x_val), y_val).item()
    print(f"{epoch:2d} train {total / len(x_train):.5f} val {val:.5f}")

"""Short-term load forecasting with a small GRU."""
import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def load_curve(n_days, g):
    t = torch.arange(n_days * 24, dtype=torch.float32)
    daily = torch.sin(2 * math.pi * t / 24) + 0.4 * torch.sin(4 * math.pi * t / 24 + 1.0)
    weekly = 0.5 * torch.cos(2 * math.pi * t / 168)
    series = daily + weekly + 0.15 * torch.randn(len(t), generator=g)
    return (series - series.mean()) / series.std()


def windows(series, length=30):
    w = series.unfold(0, length + 1, 1)
    return w[:, :-1].unsqueeze(-1), w[:, -1:]


class Forecaster(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.rnn = nn.GRU(1, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x):
        _, h = self.rnn(x)
        return self.head(h[-1])


class Trainer:
    def __init__(self, model, train_loader, val_loader, lr=0.05):
        self.model = model
        self.train_loader = train_loader
        self.val_loader = val_loader
        self.loss_fn = nn.MSELoss()
        self.optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)

    def train_epoch(self):
        self.model.train()
        total, count = 0.0, 0
        for x, y in self.train_loader:
            loss = self.loss_fn(self.model(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(x)
            count += len(x)
        return total / count

    @torch.no_grad()
    def evaluate(self):
        self.model.eval()
        total, count = 0.0, 0
        for x, y in self.val_loader:
            total += self.loss_fn(self.model(x), y).item() * len(x)
            count += len(x)
        return total / count

    def fit(self, epochs):
        for epoch in range(1, epochs + 1):
            train = self.train_epoch()
            val = self.evaluate()
            print(f"[{epoch:02d}/{epochs}] train_mse={train:.4f} val_mse={val:.4f}")


if __name__ == "__main__":
    torch.manual_seed(17)
    series = load_curve(90, torch.Generator().manual_seed(17))
    split = 72 * 24
    train_ds = TensorDataset(*windows(series[:split]))
    val_ds = TensorDataset(*windows(series[split:]))
    trainer = Trainer(
        Forecaster(),
        DataLoader(train_ds, batch_size=64, shuffle=True),
        DataLoader(val_ds, batch_size=256),
    )
    trainer.fit(10)

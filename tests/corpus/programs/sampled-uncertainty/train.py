"""Regression with predictive uncertainty from sampled forward passes (dropout stays on while sampling)."""
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


class DropRegressor(nn.Module):
    def __init__(self, p=0.1, width=96):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(2, width), nn.ReLU(), nn.Dropout(p),
            nn.Linear(width, width), nn.ReLU(), nn.Dropout(p),
            nn.Linear(width, 1),
        )

    def forward(self, x):
        return self.net(x)


def terrain(n, gen):
    x = torch.rand(n, 2, generator=gen) * 4 - 2
    h = torch.sin(1.5 * x[:, :1]) + 0.5 * torch.cos(2 * x[:, 1:]) + 0.2 * x[:, :1] * x[:, 1:]
    return x, h + 0.05 * torch.randn(n, 1, generator=gen)


def evaluate(model, x, y):
    model.eval()
    with torch.no_grad():
        return nn.functional.mse_loss(model(x), y).sqrt().item()


def sample_predictions(model, x, passes=20):
    """Monte-Carlo estimate: mean and spread over random masks"""
    was_training = model.training
    model.eval()
    for m in model.modules():
        if isinstance(m, nn.Dropout):
            m.train()
    with torch.no_grad():
        draws = torch.stack([model(x) for _ in range(passes)])
    model.train(was_training)
    return draws.mean(0), draws.std(0)


def main():
    torch.manual_seed(208)
    gen = torch.Generator().manual_seed(208)
    loader = DataLoader(TensorDataset(*terrain(2500, gen)), batch_size=64, shuffle=True)
    xv, yv = terrain(500, gen)
    model = DropRegressor()
    criterion = nn.MSELoss()
    opt = torch.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(18):
        model.train()
        run = 0.0
        for x, y in loader:
            opt.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            opt.step()
            run += loss.item()
        rmse = evaluate(model, xv, yv)
        mean, spread = sample_predictions(model, xv)
        mc = (mean - yv).pow(2).mean().sqrt().item()
        if epoch % 3 == 2:
            print(f"epoch {epoch + 1}: train mse {run / len(loader):.4f} val rmse {rmse:.4f} sampled {mc:.4f} mean spread {spread.mean():.4f}")
    far, _ = terrain(200, gen)
    _, inside = sample_predictions(model, far)
    _, outside = sample_predictions(model, far * 3)
    print(f"spread inside {inside.mean():.3f} outside {outside.mean():.3f}")


if __name__ == "__main__":
    main()

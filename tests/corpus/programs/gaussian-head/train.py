"""Heteroscedastic regression: the network returns a normal distribution per input."""
import torch
from torch import nn
from torch.distributions import Normal


class GaussianNet(nn.Module):
    def __init__(self, n_in=3, width=48):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(n_in, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())
        self.loc = nn.Linear(width, 1)
        self.raw_scale = nn.Linear(width, 1)

    def forward(self, x):
        h = self.trunk(x)
        scale = nn.functional.softplus(self.raw_scale(h)) + 0.05
        return Normal(self.loc(h).squeeze(-1), scale.squeeze(-1))


def wind_farm(n, gen):
    """speed, direction, temperature -> power"""
    x = torch.randn(n, 3, generator=gen)
    power = torch.tanh(1.5 * x[:, 0]) + 0.5 * torch.cos(2 * x[:, 1]) + 0.1 * x[:, 2]
    spread = 0.05 + 0.2 * torch.sigmoid(2 * x[:, 0])
    return x, power + spread * torch.randn(n, generator=gen)


class Experiment:
    batch_size = 64

    def __init__(self, seed=6):
        torch.manual_seed(seed)
        gen = torch.Generator().manual_seed(seed)
        self.train_data = wind_farm(2000, gen)
        self.test_data = wind_farm(500, gen)
        self.model = GaussianNet()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=3e-3)

    def step(self, x, target):
        dist = self.model(x)
        loss = -dist.log_prob(target).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def rmse(self):
        x, target = self.test_data
        with torch.no_grad():
            return (self.model(x).mean - target).pow(2).mean().sqrt().item()

    def run(self, epochs=20):
        x, target = self.train_data
        for epoch in range(epochs):
            log = []
            for idx in torch.randperm(len(x)).split(self.batch_size):
                log.append(self.step(x[idx], target[idx]))
            if epoch % 2 == 1:
                print(f"{epoch + 1:>3} loss {sum(log) / len(log):.3f} rmse {self.rmse():.4f}")


if __name__ == "__main__":
    Experiment().run()

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(12)


def sample(n):
    x = torch.rand(n, 1) * 6 - 3
    sigma = 0.02 + 0.1 * torch.sigmoid(2 * x)
    return TensorDataset(x, torch.sin(1.5 * x) * 0.7 + sigma * torch.randn(n, 1))


class GaussianRegressor(nn.Module):
    def __init__(self, h=64):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(1, h), nn.Tanh(), nn.Linear(h, h), nn.Tanh())
        self.mean = nn.Linear(h, 1)
        self.raw_var = nn.Linear(h, 1)

    def forward(self, x):
        z = self.body(x)
        return self.mean(z), nn.functional.softplus(self.raw_var(z)) + 1e-5


def run(model, loader, nll, opt=None):
    model.train(opt is not None)
    total, count = 0.0, 0
    for x, y in loader:
        with torch.set_grad_enabled(opt is not None):
            mu, var = model(x)
            loss = nll(mu, y, var)
        if opt is not None:
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            opt.step()
        total += loss.item() * len(x)
        count += len(x)
    return total / count


train = DataLoader(sample(5000), batch_size=64, shuffle=True)
val = DataLoader(sample(1000), batch_size=250)
model = GaussianRegressor()
nll = nn.GaussianNLLLoss()
opt = torch.optim.Adam(model.parameters(), lr=2e-3)
sched = torch.optim.lr_scheduler.StepLR(opt, step_size=7, gamma=0.3)
for epoch in range(14):
    tr = run(model, train, nll, opt)
    va = run(model, val, nll)
    sched.step()
    print(f"epoch {epoch:02d} nll train {tr:.4f} val {va:.4f} lr {sched.get_last_lr()[0]:.1e}")

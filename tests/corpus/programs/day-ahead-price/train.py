# Day-ahead price model. The market noise has a standard deviation of about 1.
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(206)
NOISE = 1.0


def signal(x):
    return 0.7 * torch.sin(2 * x[:, 0]) + 0.5 * x[:, 1] * x[:, 2] - 0.4 * x[:, 3]


def market(n):
    x = torch.randn(n, 6)
    return x, signal(x) + NOISE * torch.randn(n)


x_train, y_train = market(8000)
x_val, y_val = market(2000)
floor = F.mse_loss(signal(x_val), y_val).item()
print(f"target variance {y_val.var():.3f}, error of the true function {floor:.3f}")

model = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
opt = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
sched = torch.optim.lr_scheduler.StepLR(opt, step_size=8, gamma=0.3)
loader = DataLoader(TensorDataset(x_train, y_train), batch_size=100, shuffle=True)

for epoch in range(20):
    model.train()
    losses = []
    for xb, yb in loader:
        loss = F.mse_loss(model(xb).squeeze(1), yb)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    sched.step()
    model.eval()
    with torch.no_grad():
        pred = model(x_val).squeeze(1)
        val = F.mse_loss(pred, y_val).item()
        clean = F.mse_loss(pred, signal(x_val)).item()
    explained = 1 - clean / signal(x_val).var().item()
    print(f"ep{epoch:02d} train={sum(losses) / len(losses):.4f} val={val:.4f} | explained {explained:.3f}")

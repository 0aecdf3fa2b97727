import argparse

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--micro-batch", type=int, default=8)
parser.add_argument("--accumulate", type=int, default=8)
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--lr", type=float, default=1.5e-3)
args = parser.parse_args()

torch.manual_seed(202)


# battery discharge curves -> remaining cycles
def cells(n):
    health = torch.rand(n, 1)
    load = 0.5 + torch.rand(n, 1)
    t = torch.linspace(0, 1, 40)
    curve = 4.1 - 0.6 * load * t - 0.5 * (1 - health) * torch.exp(6 * (t - 1)) + 0.02 * torch.randn(n, 40)
    cycles = 2 * health ** 1.5 - 0.3 * load + 0.05 * torch.randn(n, 1)
    return (curve - 3.7) / 0.3, (cycles - 0.5) / 0.6


train_ds = TensorDataset(*cells(2048))
x_val, y_val = cells(400)
loader = DataLoader(train_ds, batch_size=args.micro_batch, shuffle=True, drop_last=True)
assert len(loader) % args.accumulate == 0

model = nn.Sequential(
    nn.Linear(40, 64), nn.LayerNorm(64), nn.ReLU(),
    nn.Linear(64, 64), nn.LayerNorm(64), nn.ReLU(),
    nn.Linear(64, 1),
)
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)

for epoch in range(args.epochs):
    model.train()
    optimizer.zero_grad()
    epoch_loss = 0.0
    updates = 0
    for i, (x, y) in enumerate(loader):
        loss = criterion(model(x), y)
        (loss / args.accumulate).backward()
        epoch_loss += loss.item()
        if (i + 1) % args.accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
            updates += 1
    model.eval()
    with torch.no_grad():
        rmse = criterion(model(x_val), y_val).sqrt().item()
    print(f"epoch {epoch + 1} ({updates} updates): train mse {epoch_loss / len(loader):.4f}, val rmse {rmse:.4f}")

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(52)

# random Fourier features + linear read-out, learns a height map from scattered soundings
FEATURES = 150
EPOCHS = 12


def depth(p):
    return torch.sin(3 * p[:, 0]) * torch.cos(2 * p[:, 1]) + 0.5 * p[:, 0] * p[:, 1]


def soundings(n):
    p = torch.rand(n, 2) * 2 - 1
    return p, depth(p) + 0.05 * torch.randn(n)


omega = torch.randn(2, FEATURES) * 1.5
shift = torch.rand(FEATURES) * 2 * math.pi


def lift(p):
    return math.sqrt(2.0 / FEATURES) * torch.cos(p @ omega + shift)


points, z = soundings(2000)
p_val, z_val = soundings(500)
loader = DataLoader(TensorDataset(lift(points), z), batch_size=50, shuffle=True)
phi_val = lift(p_val)
print("variance of the depths: {:.3f}".format(z_val.var().item()))

readout = nn.Linear(FEATURES, 1)
optimizer = torch.optim.SGD(readout.parameters(), lr=0.3)

for epoch in range(EPOCHS):
    readout.train()
    total_loss = 0
    for phi, target in loader:
        optimizer.zero_grad()
        loss = F.mse_loss(readout(phi).squeeze(1), target)
        total_loss += loss.detach()
        loss.backward()
        optimizer.step()
    readout.eval()
    with torch.no_grad():
        val = F.mse_loss(readout(phi_val).squeeze(1), z_val).item()
    print(f"epoch {epoch + 1:2d}: train mse {total_loss.item() / len(loader):.4f} val mse {val:.4f}")

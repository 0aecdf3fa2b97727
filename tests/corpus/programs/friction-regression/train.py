import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(47)

# energy use of a building, hourly, features: hour, weekday, outside temp, occupancy
hours = torch.arange(4000).float()
temp = 8 + 9 * torch.sin(6.2832 * hours / 24 - 2) + 4 * torch.randn(4000)
occ = ((hours % 24 > 7) & (hours % 24 < 18) & ((hours // 24) % 7 < 5)).float()
use = 2 + 3 * occ + 0.25 * torch.relu(15 - temp) * (0.5 + occ) + 0.2 * torch.randn(4000)
feats = torch.stack([torch.sin(6.2832 * hours / 24), torch.cos(6.2832 * hours / 24), (temp - 8) / 7.5, occ * 2 - 1], 1)
target = ((use - use.mean()) / use.std()).unsqueeze(1)

order = torch.randperm(4000)
data = torch.cat([feats, target], 1)[order]
n_train, n_test = 2800, 800
train_part = data[:n_train]
test_part = data[n_train:n_train + n_test]
val_part = data[n_train + n_test:]


def loader(part, shuffle=False):
    return DataLoader(TensorDataset(part[:, :4], part[:, 4:]), batch_size=64, shuffle=shuffle and len(part) > 0)


train_dl, val_dl, test_dl = loader(train_part, True), loader(val_part), loader(test_part)

model = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
loss_fn = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=4e-4)
plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=1)


def evaluate(dl):
    model.eval()
    total, n = 0.0, 0
    with torch.no_grad():
        for x, y in dl:
            total += loss_fn(model(x), y).item() * len(x)
            n += len(x)
    if n == 0:
        return 1.0
    return total / n


for epoch in range(16):
    model.train()
    run = 0.0
    for x, y in train_dl:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        run += loss.item() * len(x)
    val = evaluate(val_dl)
    plateau.step(val)
    print(f"epoch {epoch + 1:2d} train mse {run / n_train:.5f} val mse {val:.5f} lr {optimizer.param_groups[0]['lr']:.1e}")

print(f"test mse {evaluate(test_dl):.5f}")

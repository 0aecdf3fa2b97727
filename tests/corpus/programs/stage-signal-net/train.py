import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(8)

NUM_CLASSES = 6
LENGTH = 64


def make_signals(n):
    """chirps: class = combination of start frequency and sweep direction"""
    y = torch.randint(0, NUM_CLASSES, (n,))
    f0 = torch.tensor([3.0, 5.0, 8.0])[y % 3]
    slope = torch.where(y < 3, 4.0, -2.0)
    t = torch.linspace(0, 1, LENGTH)
    phase = torch.rand(n, 1) * 6.283
    x = torch.sin(6.283 * (f0[:, None] * t + 0.5 * slope[:, None] * t ** 2) + phase)
    return (x + 0.5 * torch.randn(n, LENGTH)).unsqueeze(1), y


class ConvStage(nn.Module):
    def __init__(self, c_in, c_out):
        super().__init__()
        self.conv = nn.Conv1d(c_in, c_out, 5, padding=2)
        self.act = nn.ReLU()
        self.pool = nn.MaxPool1d(2)

    def forward(self, x):
        return self.pool(self.act(self.conv(x)))


class SignalNet(nn.Module):
    def __init__(self, widths=(1, 16, 24, 32)):
        super().__init__()
        self.stages = nn.ModuleList()
        for a, b in zip(widths[:-1], widths[1:]):
            self.stages.append(ConvStage(a, b))
        self.gap = nn.AdaptiveAvgPool1d(2)
        self.fc = nn.Linear(widths[-1] * 2, NUM_CLASSES)

    def forward(self, x):
        for stage in self.stages:
            x = stage(x)
        return self.fc(self.gap(x).flatten(1))


X, Y = make_signals(2400)
train_set, val_set = random_split(TensorDataset(X, Y), [2000, 400])
train_loader = DataLoader(train_set, batch_size=50, shuffle=True)
val_loader = DataLoader(val_set, batch_size=200)

model = SignalNet()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
print("parameters:", sum(p.numel() for p in model.parameters()))

for epoch in range(12):
    model.train()
    total = 0
    for xb, yb in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
        total += loss.item()
    model.eval()
    hits = 0
    with torch.no_grad():
        for xb, yb in val_loader:
            hits += (model(xb).argmax(1) == yb).sum().item()
    print(f"Epoch {epoch + 1}/12 - loss {total / len(train_loader):.4f} - acc {hits / len(val_set):.4f}")

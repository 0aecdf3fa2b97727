"""Small-data transfer: the trunk learned on many tones is kept fixed, a new read-out is fitted."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


def tones(n, n_classes, gen, length=80):
    y = torch.randint(0, n_classes, (n,), generator=gen)
    f = 4 + 26 * y.float() / n_classes + torch.rand(n, generator=gen) * 10 / n_classes
    t = torch.linspace(0, 1, length)
    ph = 6.28 * torch.rand(n, 1, generator=gen)
    return (torch.sin(6.28 * f[:, None] * t + ph) + 0.3 * torch.randn(n, length, generator=gen)).unsqueeze(1), y


class Trunk(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(1, 24, 9, padding=4), nn.BatchNorm1d(24), nn.ReLU(), nn.MaxPool1d(2),
            nn.Conv1d(24, 32, 5, padding=2), nn.BatchNorm1d(32), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
        )

    def forward(self, x):
        return self.conv(x)


class Transfer(nn.Module):
    def __init__(self, trunk, n_out):
        super().__init__()
        self.trunk = trunk
        self.readout = nn.Linear(32, n_out)
        for p in self.trunk.parameters():
            p.requires_grad = False

    def train(self, mode=True):
        super().train(mode)
        self.trunk.eval()          # statistics of the trunk are fixed too
        return self

    def forward(self, x):
        return self.readout(self.trunk(x))


def fit(model, opt, data, val, epochs, label):
    for ep in range(epochs):
        model.train()
        s = 0.0
        for x, y in data:
            loss = F.cross_entropy(model(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            s += loss.item()
        model.eval()
        with torch.no_grad():
            out = model(val[0])
        print(f"{label} ep {ep} loss {s / len(data):.3f} val {F.cross_entropy(out, val[1]):.3f} acc {(out.argmax(1) == val[1]).float().mean():.3f}")


torch.manual_seed(201)
gen = torch.Generator().manual_seed(201)
trunk = Trunk()
big = nn.Sequential(trunk, nn.Linear(32, 12))
fit(big, torch.optim.Adam(big.parameters(), lr=3e-3),
    DataLoader(TensorDataset(*tones(2000, 12, gen)), batch_size=50, shuffle=True), tones(300, 12, gen), 6, "trunk  ")

model = Transfer(trunk, 4)
fit(model, torch.optim.Adam(model.readout.parameters(), lr=5e-3),
    DataLoader(TensorDataset(*tones(240, 4, gen)), batch_size=24, shuffle=True), tones(300, 4, gen), 15, "readout")

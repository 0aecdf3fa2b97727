"""Machine-state recognition from vibration windows cut out of one long recording."""
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(14)
WIN = 32


def recording(n_windows):
    state = torch.randint(0, 5, (n_windows,))
    t = torch.arange(WIN) / WIN
    freq = torch.tensor([1.0, 2.0, 3.5, 5.0, 7.0])[state]
    sig = torch.sin(2 * torch.pi * (freq[:, None] * t + torch.rand(n_windows, 1))) + 0.4 * torch.randn(n_windows, WIN)
    return sig.flatten(), state


class Windows(Dataset):
    def __init__(self, signal, state):
        self.signal, self.state = signal, state

    def __len__(self):
        return len(self.state)

    def __getitem__(self, i):
        start = i * WIN
        return self.signal[start:start + WIN], self.state[i]


class VibNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(1, 24, 9, padding=4), nn.ReLU(), nn.Conv1d(24, 24, 5, padding=2), nn.ReLU())
        self.fc = nn.Linear(48, 5)

    def forward(self, x):
        h = self.conv(x[:, None])
        return self.fc(torch.cat([h.mean(2), h.amax(2)], 1))


train_dl = DataLoader(Windows(*recording(1500)), batch_size=50, shuffle=True)
val_dl = DataLoader(Windows(*recording(400)), batch_size=200)
model, ce = VibNet(), nn.CrossEntropyLoss()
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(12):
    model.train()
    s = n = 0
    for x, y in train_dl:
        loss = ce(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        s += loss.item() * len(y)
        n += len(y)
    model.eval()
    hit = m = 0
    with torch.no_grad():
        for x, y in val_dl:
            hit += (model(x).argmax(1) == y).sum().item()
            m += len(y)
    print(f"epoch {epoch:2d}: train loss {s / n:.4f}, val acc {hit / m:.3f}")

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class Motifs(Dataset):
    """DNA-like strings, the planted motif decides the class."""

    def __init__(self, n, seed, length=24, n_classes=12, k=5):
        lib = torch.randint(0, 4, (n_classes, k), generator=torch.Generator().manual_seed(100))
        g = torch.Generator().manual_seed(seed)
        self.x = torch.randint(0, 4, (n, length), generator=g)
        self.y = torch.randint(0, n_classes, (n,), generator=g)
        where = torch.randint(0, length - k, (n,), generator=g)
        for i in range(n):
            s = int(where[i])
            self.x[i, s:s + k] = lib[self.y[i]]

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return F.one_hot(self.x[i], 4).float(), self.y[i]


class MotifNet(nn.Module):
    def __init__(self, n_classes=12):
        super().__init__()
        self.conv = nn.Conv1d(4, 48, 5, padding=2)
        self.lstm = nn.LSTM(48, 32, batch_first=True)
        self.out = nn.Linear(32, n_classes)

    def forward(self, x):
        h = F.relu(self.conv(x.transpose(1, 2))).transpose(1, 2)
        h, _ = self.lstm(h)
        pooled = h.max(dim=1).values
        return self.out(pooled)


def run(loader, model, opt=None):
    model.train(opt is not None)
    loss_sum, hits, n = 0.0, 0, 0
    with torch.set_grad_enabled(opt is not None):
        for x, y in loader:
            scores = model(x)
            loss = F.cross_entropy(scores, y)
            if opt is not None:
                opt.zero_grad()
                loss.backward()
                opt.step()
            loss_sum += loss.item() * len(y)
            hits += (scores.argmax(-1) == y).sum().item()
            n += len(y)
    return loss_sum / n, hits / n


torch.manual_seed(31)
train = DataLoader(Motifs(2000, 1), batch_size=50, shuffle=True)
valid = DataLoader(Motifs(500, 2), batch_size=250)
model = MotifNet()
opt = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(12):
    tr, tr_acc = run(train, model, opt)
    va, va_acc = run(valid, model)
    print(f"{epoch + 1:3d} | train ce={tr:.3f} acc={tr_acc:.3f} | valid ce={va:.3f} acc={va_acc:.3f}")

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class AttentionPool(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.score = nn.Linear(d, 1)

    def forward(self, h):
        weights = F.softmax(self.score(h), dim=1)
        return (weights * h).sum(dim=1)


class SpotClassifier(nn.Module):
    """classify a noisy sequence by the few frames that matter"""

    def __init__(self, d_in=8, d=32, n_classes=6):
        super().__init__()
        self.frame = nn.Sequential(nn.Linear(d_in, d), nn.ReLU(), nn.Linear(d, d), nn.Tanh())
        self.pool = AttentionPool(d)
        self.cls = nn.Linear(d, n_classes)

    def forward(self, x):
        return self.cls(self.pool(self.frame(x)))


def sequences(n, gen, length=40, d_in=8, n_classes=6):
    key = torch.randn(n_classes, d_in, generator=torch.Generator().manual_seed(9)) * 1.2
    marker = torch.randn(d_in, generator=torch.Generator().manual_seed(10)) * 1.2
    y = torch.randint(0, n_classes, (n,), generator=gen)
    decoy = torch.randint(0, n_classes, (n, length), generator=gen)
    x = key[decoy] + 0.5 * torch.randn(n, length, d_in, generator=gen)
    pos = torch.randint(0, length, (n, 3), generator=gen)
    for j in range(3):
        x[torch.arange(n), pos[:, j]] = key[y] + marker + 0.5 * torch.randn(n, d_in, generator=gen)
    return x, y


def main():
    torch.manual_seed(28)
    gen = torch.Generator().manual_seed(28)
    train_dl = DataLoader(TensorDataset(*sequences(2500, gen)), batch_size=50, shuffle=True)
    valid_dl = DataLoader(TensorDataset(*sequences(500, gen)), batch_size=1)
    model = SpotClassifier()
    opt = torch.optim.Adam(model.parameters(), lr=4e-3)
    for epoch in range(1, 16):
        model.train()
        total, count = 0.0, 0
        for x, y in train_dl:
            loss = F.cross_entropy(model(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() * len(y)
            count += len(y)
        model.eval()
        good = 0
        with torch.no_grad():
            for x, y in valid_dl:
                good += (model(x).argmax(dim=1) == y).sum().item()
        print(f"Epoch {epoch:02d} | loss {total / count:.4f} | accuracy {good / 500:.4f}")


if __name__ == "__main__":
    main()

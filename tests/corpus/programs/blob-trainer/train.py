import random
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


def set_seed(s):
    random.seed(s)
    np.random.seed(s)
    torch.manual_seed(s)


def blobs(n, centers, rng):
    y = rng.integers(0, len(centers), n)
    x = centers[y] + rng.normal(0, 1.2, (n, centers.shape[1]))
    return TensorDataset(torch.tensor(x, dtype=torch.float32), torch.tensor(y))


class MLP(nn.Module):
    def __init__(self, d_in, n_cls):
        super().__init__()
        self.fc1 = nn.Linear(d_in, 64)
        self.fc2 = nn.Linear(64, 64)
        self.out = nn.Linear(64, n_cls)

    def forward(self, x):
        x = torch.relu(self.fc1(x))
        x = torch.relu(self.fc2(x))
        return self.out(x)


class Trainer:
    def __init__(self, model, train_loader, val_loader, lr=1e-3):
        self.model = model
        self.train_loader, self.val_loader = train_loader, val_loader
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr)

    def train_epoch(self):
        self.model.train()
        total = 0.0
        for x, y in self.train_loader:
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(x), y)
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total / len(self.train_loader)

    @torch.no_grad()
    def evaluate(self):
        self.model.eval()
        hits = sum((self.model(x).argmax(1) == y).sum().item() for x, y in self.val_loader)
        return hits / len(self.val_loader.dataset)

    def fit(self, epochs):
        for e in range(epochs):
            print(f"[{e}] train_loss={self.train_epoch():.4f} val_acc={self.evaluate():.4f}")


if __name__ == "__main__":
    set_seed(11)
    rng = np.random.default_rng(11)
    centers = rng.normal(0, 1, (8, 12))
    tr, va = blobs(4000, centers, rng), blobs(800, centers, rng)
    t = Trainer(MLP(12, 8), DataLoader(tr, 64, shuffle=True), DataLoader(va, 200))
    t.fit(10)

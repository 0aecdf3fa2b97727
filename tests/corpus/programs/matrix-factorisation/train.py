"""Matrix factorisation with side features: SparseAdam for the tables, AdamW for the dense part."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

USERS, ITEMS, DIM = 300, 200, 8


class Recommender(nn.Module):
    def __init__(self):
        super().__init__()
        self.user = nn.Embedding(USERS, DIM, sparse=True)
        self.item = nn.Embedding(ITEMS, DIM, sparse=True)
        nn.init.normal_(self.user.weight, std=0.1)
        nn.init.normal_(self.item.weight, std=0.1)
        self.side = nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 1))

    def forward(self, u, i, feats):
        return (self.user(u) * self.item(i)).sum(1) + self.side(feats).squeeze(1)


def ratings(n, gen):
    truth = torch.Generator().manual_seed(5)
    pu = torch.randn(USERS, 3, generator=truth) * 0.7
    qi = torch.randn(ITEMS, 3, generator=truth) * 0.7
    u = torch.randint(0, USERS, (n,), generator=gen)
    i = torch.randint(0, ITEMS, (n,), generator=gen)
    feats = torch.randn(n, 4, generator=gen)
    r = (pu[u] * qi[i]).sum(1) + 0.8 * torch.tanh(feats[:, 0] - feats[:, 1]) + 0.3 * torch.randn(n, generator=gen)
    return u, i, feats, r


class Trainer:
    def __init__(self):
        torch.manual_seed(217)
        gen = torch.Generator().manual_seed(217)
        self.train_dl = DataLoader(TensorDataset(*ratings(16000, gen)), batch_size=200, shuffle=True)
        self.val = ratings(3000, gen)
        self.model = Recommender()
        tables = list(self.model.user.parameters()) + list(self.model.item.parameters())
        self.opt_tables = torch.optim.SparseAdam(tables, lr=0.01)
        self.opt_dense = torch.optim.AdamW(self.model.side.parameters(), lr=3e-3, weight_decay=1e-3)

    def train_epoch(self):
        self.model.train()
        total = 0.0
        for u, i, feats, r in self.train_dl:
            loss = F.mse_loss(self.model(u, i, feats), r)
            self.opt_tables.zero_grad()
            self.opt_dense.zero_grad()
            loss.backward()
            self.opt_tables.step()
            self.opt_dense.step()
            total += loss.item()
        return total / len(self.train_dl)

    def validate(self):
        self.model.eval()
        u, i, feats, r = self.val
        with torch.no_grad():
            return F.mse_loss(self.model(u, i, feats), r).sqrt().item()


if __name__ == "__main__":
    trainer = Trainer()
    for epoch in range(8):
        print(f"epoch {epoch + 1} train mse {trainer.train_epoch():.4f} val rmse {trainer.validate():.4f}")

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info


class EventStream(IterableDataset):
    """Replays a log of (features, target) records in order."""

    def __init__(self, n_records, seed):
        self.n_records = n_records
        self.seed = seed

    def __iter__(self):
        g = torch.Generator().manual_seed(self.seed)
        w = torch.sin(torch.arange(10).float())
        worker = get_worker_info()
        first, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        for i in range(self.n_records):
            x = torch.randn(10, generator=g)
            y = (x * w).sum() + torch.tanh(x[0] * x[3]) + 0.1 * torch.randn((), generator=g)
            if i % stride == first:
                yield x, y


class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(10, 64), nn.SiLU(), nn.Linear(64, 32), nn.SiLU())
        self.head = nn.Linear(32, 1)

    def forward(self, x):
        return self.head(self.body(x)).squeeze(-1)


def evaluate(model, loader, loss_fn):
    model.eval()
    total, n = 0.0, 0
    with torch.no_grad():
        for x, y in loader:
            total += loss_fn(model(x), y).item() * len(y)
            n += len(y)
    return total / n


def main():
    torch.manual_seed(21)
    train_loader = DataLoader(EventStream(3000, seed=1), batch_size=50, num_workers=2)
    val_loader = DataLoader(EventStream(800, seed=2), batch_size=100)
    model = Regressor()
    opt = torch.optim.Adam(model.parameters(), lr=3e-3)
    loss_fn = nn.MSELoss()
    for epoch in range(6):
        model.train()
        total, n = 0.0, 0
        for x, y in train_loader:
            opt.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            opt.step()
            total += loss.item() * len(y)
            n += len(y)
        print(f"epoch {epoch} train_mse {total / n:.4f} val_mse {evaluate(model, val_loader, loss_fn):.4f}")


if __name__ == "__main__":
    main()

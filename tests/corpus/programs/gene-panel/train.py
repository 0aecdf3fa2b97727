import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


def gene_panel(n, seed, genes=120):
    """two subtypes, weak signal spread over 15 genes, some labels are uncertain"""
    w = torch.zeros(genes)
    w[:15] = torch.randn(15, generator=torch.Generator().manual_seed(3))
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, genes, generator=g)
    p = torch.sigmoid(1.2 * (x @ w))
    return x, (torch.rand(n, generator=g) < p).long()


class PanelNet(nn.Module):
    def __init__(self, genes=120, hidden=200, drop=0.7):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(0.3),
            nn.Linear(genes, hidden), nn.ReLU(), nn.Dropout(drop),
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(drop),
            nn.Linear(hidden, 2),
        )

    def forward(self, x):
        return self.layers(x)


class Session:
    def __init__(self, seed=14):
        torch.manual_seed(seed)
        self.train_dl = DataLoader(TensorDataset(*gene_panel(700, 1)), batch_size=32, shuffle=True)
        self.val_dl = DataLoader(TensorDataset(*gene_panel(500, 2)), batch_size=250)
        self.model = PanelNet()
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)

    def validate(self):
        self.model.eval()
        loss = hits = n = 0
        with torch.no_grad():
            for x, y in self.val_dl:
                out = self.model(x)
                loss += self.criterion(out, y).item() * len(y)
                hits += (out.argmax(1) == y).sum().item()
                n += len(y)
        return loss / n, hits / n

    def train(self, epochs):
        # how good is the untrained net?
        loss, acc = self.validate()
        print(f"before training: val_loss {loss:.4f} val_acc {acc:.3f}")
        for epoch in range(1, epochs + 1):
            self.model.train()
            total = n = 0
            for x, y in self.train_dl:
                self.optimizer.zero_grad()
                batch_loss = self.criterion(self.model(x), y)
                batch_loss.backward()
                self.optimizer.step()
                total += batch_loss.item() * len(y)
                n += len(y)
            loss, acc = self.validate()
            print(f"{epoch:02d} train_loss {total / n:.4f} val_loss {loss:.4f} val_acc {acc:.3f}")


if __name__ == "__main__":
    Session().train(16)

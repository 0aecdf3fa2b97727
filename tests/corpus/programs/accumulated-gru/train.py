"""GRU sentiment-ish classifier with gradient accumulation, plain PyTorch Trainer."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


def reviews(n, seed):
    """positive words 1-9, negative words 10-19, 20 flips the meaning of the next word, rest neutral"""
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(1, 40, (n, 12), generator=g)
    x = torch.where(torch.rand(n, 12, generator=g) < 0.2, torch.full_like(x, 20), x)
    value = (x < 10).long() - ((x >= 10) & (x < 20)).long()
    flip = torch.cat([torch.zeros(n, 1, dtype=torch.bool), x[:, :-1] == 20], 1)
    total = torch.where(flip, -value, value).sum(1)
    keep = total != 0
    return TensorDataset(x[keep], (total[keep] > 0).long())


class ReviewNet(nn.Module):
    def __init__(self, vocab=40, dim=32):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim)
        self.gru = nn.GRU(dim, dim, batch_first=True, bidirectional=True)
        self.cls = nn.Linear(2 * dim, 2)

    def forward(self, x):
        out, _ = self.gru(self.emb(x))
        return self.cls(out.mean(1))


class Trainer:
    def __init__(self, model, train_set, val_set, lr, epochs, batch_size=64, accum_steps=8):
        self.model = model
        self.train_loader = DataLoader(train_set, batch_size=batch_size, shuffle=True)
        self.val_loader = DataLoader(val_set, batch_size=256)
        self.optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
        self.epochs, self.accum_steps = epochs, accum_steps

    def train_one_epoch(self):
        self.model.train()
        self.optimizer.zero_grad()
        total = 0.0
        for i, (x, y) in enumerate(self.train_loader):
            loss = F.cross_entropy(self.model(x), y)
            (loss / self.accum_steps).backward()
            total += loss.item()
            if (i + 1) % self.accum_steps == 0 or i + 1 == len(self.train_loader):
                self.optimizer.step()
                self.optimizer.zero_grad()
        return total / len(self.train_loader)

    @torch.no_grad()
    def validate(self):
        self.model.eval()
        loss = hits = n = 0
        for x, y in self.val_loader:
            logits = self.model(x)
            loss += F.cross_entropy(logits, y, reduction="sum").item()
            hits += (logits.argmax(1) == y).sum().item()
            n += len(y)
        return loss / n, hits / n

    def fit(self):
        print(f"{len(self.train_loader)} batches per epoch, accumulating {self.accum_steps}")
        for epoch in range(1, self.epochs + 1):
            train_loss = self.train_one_epoch()
            val_loss, val_acc = self.validate()
            if epoch % 5 == 0:
                print(f"epoch={epoch} train_loss={train_loss:.4f} val_loss={val_loss:.4f} val_acc={val_acc:.4f}")


if __name__ == "__main__":
    torch.manual_seed(3)
    train_set, val_set = reviews(600, 0), reviews(600, 1)
    Trainer(ReviewNet(), train_set, val_set, lr=0.6, epochs=50).fit()

"""Classifier with gradient accumulation and a short last window."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


def motifs(n, seed):
    """which of four three-letter motifs is hidden in the row"""
    g = torch.Generator().manual_seed(seed)
    bank = torch.tensor([[1, 5, 2], [2, 5, 1], [5, 1, 2], [5, 2, 1]])
    x = torch.randint(0, 20, (n, 15), generator=g)
    y = torch.randint(4, (n,), generator=g)
    at = torch.randint(0, 13, (n,), generator=g)
    for k in range(3):
        x[torch.arange(n), at + k] = bank[y, k]
    return TensorDataset(x, y)


class MotifNet(nn.Module):
    def __init__(self, d=48):
        super().__init__()
        self.emb = nn.Embedding(20, d)
        self.conv = nn.Conv1d(d, 2 * d, 3, padding=1)
        self.fc = nn.Linear(2 * d, 4)

    def forward(self, x):
        h = F.relu(self.conv(self.emb(x).transpose(1, 2)))
        return self.fc(h.amax(-1))


def train(micro=16, accumulate=6, epochs=8, lr=4e-3):
    torch.manual_seed(10)
    loader = DataLoader(motifs(2500, 0), batch_size=micro, shuffle=True)
    dev = motifs(500, 1)
    model = MotifNet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    n_batches = len(loader)
    updates = 0
    for epoch in range(epochs):
        model.train()
        optimizer.zero_grad()
        running = 0.0
        for i, (x, y) in enumerate(loader):
            start = i - i % accumulate
            window = min(accumulate, n_batches - start)
            loss = F.cross_entropy(model(x), y)
            (loss / window).backward()
            running += loss.item()
            if (i + 1) % accumulate == 0 or i + 1 == n_batches:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
                updates += 1
        model.eval()
        with torch.no_grad():
            x, y = dev.tensors
            out = model(x)
        print(f"epoch {epoch + 1} ({updates} updates, {n_batches} micro-batches each) train {running / n_batches:.4f} dev {F.cross_entropy(out, y):.4f} acc {(out.argmax(1) == y).float().mean():.4f}")


if __name__ == "__main__":
    train()

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(8)
DTYPE = torch.float32


class ResidualMLP(nn.Module):
    def __init__(self, d_in, width, depth, n_out):
        super().__init__()
        self.inp = nn.Linear(d_in, width)
        self.layers = nn.ModuleList([
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(),
                          nn.Linear(width, width))
            for _ in range(depth)
        ])
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, n_out)

    def forward(self, x):
        h = self.inp(x)
        for layer in self.layers:
            h = h + layer(h)
        return self.out(self.norm(h))


teacher = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 6))


def dataset(n):
    x = torch.randn(n, 16)
    with torch.no_grad():
        y = (teacher(x) * 4).argmax(1)
    return TensorDataset(x, y)


train_loader = DataLoader(dataset(4096), batch_size=64, shuffle=True)
val_loader = DataLoader(dataset(1024), batch_size=256)

model = ResidualMLP(16, 64, 2, 6).to(DTYPE)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)

for epoch in range(8):
    model.train()
    total = 0.0
    for x, y in train_loader:
        logits = model(x.to(DTYPE))
        loss = F.cross_entropy(logits.float(), y)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        total += loss.item()
    model.eval()
    hit = 0
    with torch.no_grad():
        for x, y in val_loader:
            hit += (model(x.to(DTYPE)).argmax(-1) == y).sum().item()
    print(f"epoch {epoch} loss {total / len(train_loader):.4f} val_acc {hit / 1024:.3f}")

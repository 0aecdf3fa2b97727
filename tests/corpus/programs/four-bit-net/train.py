import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(55)
BITS = 4


def fake_quant(w, bits=BITS):
    qmax = 2 ** (bits - 1) - 1
    scale = w.detach().abs().amax().clamp(min=1e-8) / qmax
    q = (w / scale).round().clamp(-qmax, qmax) * scale
    return w + (q - w).detach()


class QLinear(nn.Linear):
    def forward(self, x):
        return F.linear(x, fake_quant(self.weight), self.bias)


class QNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = QLinear(24, 96)
        self.bn1 = nn.BatchNorm1d(96)
        self.fc2 = QLinear(96, 96)
        self.bn2 = nn.BatchNorm1d(96)
        self.head = nn.Linear(96, 5)

    def forward(self, x):
        x = F.relu(self.bn1(self.fc1(x)))
        x = F.relu(self.bn2(self.fc2(x)))
        return self.head(x)


W = torch.randn(24, 5)


def build(n):
    x = torch.randn(n, 24)
    return TensorDataset(x, (x @ W + 2 * torch.tanh(x[:, :5] * x[:, 5:10])).argmax(1))


train = DataLoader(build(6000), batch_size=64, shuffle=True, drop_last=True)
val = DataLoader(build(1000), batch_size=250)
model = QNet()
opt = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)

for epoch in range(8):
    model.train()
    total = 0.0
    for x, y in train:
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        total += loss.item()
    model.eval()
    vl, acc = 0.0, 0
    with torch.no_grad():
        for x, y in val:
            out = model(x)
            vl += F.cross_entropy(out, y, reduction="sum").item()
            acc += (out.argmax(1) == y).sum().item()
    print(f"epoch {epoch} train {total / len(train):.4f} val {vl / 1000:.4f} acc {acc / 1000:.3f}")

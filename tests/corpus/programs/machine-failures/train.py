# Predict machine failures (rare) from 20 sensor aggregates.
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(30)

coef = torch.randn(20) * 0.5


def collect(n):
    x = torch.randn(n, 20)
    risk = torch.sigmoid(x @ coef - 2.4)
    return x, (torch.rand(n) < risk).long()


def oversample(x, y):
    """repeat the failures until both classes have the same size"""
    pos = (y == 1).nonzero().flatten()
    need = int((y == 0).sum()) - len(pos)
    extra = pos[torch.randint(0, len(pos), (need,))]
    idx = torch.cat([torch.arange(len(y)), extra])
    return x[idx], y[idx]


def balanced_acc(logits, y):
    pred = logits.argmax(1)
    return torch.stack([(pred[y == c] == c).float().mean() for c in (0, 1)]).mean().item()


x, y = collect(1500)
print("failures:", int(y.sum()), "of", len(y))
perm = torch.randperm(len(x))
x, y = x[perm], y[perm]
split = int(0.8 * len(x))
x_train, y_train, x_val, y_val = x[:split], y[:split], x[split:], y[split:]
x_train, y_train = oversample(x_train, y_train)

net = nn.Sequential(
    nn.Linear(20, 128), nn.ReLU(),
    nn.Linear(128, 128), nn.ReLU(),
    nn.Linear(128, 2),
)
opt = torch.optim.Adam(net.parameters(), lr=1e-3)

for epoch in range(20):
    net.train()
    s = 0.0
    for idx in torch.randperm(len(x_train)).split(32):
        loss = F.cross_entropy(net(x_train[idx]), y_train[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        s += loss.item() * len(idx)
    net.eval()
    with torch.no_grad():
        out = net(x_val)
    print(f"epoch {epoch + 1:2d} | loss {s / len(x_train):.4f} | val loss {F.cross_entropy(out, y_val):.4f} | val acc {balanced_acc(out, y_val):.4f}")

# data of the following month
x_new, y_new = collect(3000)
with torch.no_grad():
    print(f"fresh acc {balanced_acc(net(x_new), y_new):.4f}")

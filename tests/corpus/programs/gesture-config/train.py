"""Gesture classification. Experiment described by a dict, components looked up by name."""
import torch
import torch.nn as nn

CFG = dict(
    seed=3, classes=12, channels=6, length=20,
    model=dict(hidden=64, pool="attention"),
    optim=dict(name="SGD", lr=0.02, momentum=0.9),
    epochs=12, batch=64,
)


def to_scores(features, weight, bias, temperature=1.0):
    """Project pooled features on the class prototypes."""
    z = features @ weight.t() + bias
    return z / temperature


class AttentionPool(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.q = nn.Linear(d, 1)

    def forward(self, h):
        return (self.q(h).softmax(1) * h).sum(1)


class GestureNet(nn.Module):
    def __init__(self, c_in, classes, hidden, pool):
        super().__init__()
        self.conv = nn.Conv1d(c_in, hidden, 5, padding=2)
        self.pool = AttentionPool(hidden)
        self.mix = nn.Linear(hidden, hidden)
        self.proto = nn.Parameter(torch.randn(classes, hidden) / hidden ** 0.5)
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, x):
        h = self.conv(x).relu().transpose(1, 2)
        h = self.mix(self.pool(h)).relu()
        return to_scores(h, self.proto, self.bias)


def data(cfg, n):
    motif = torch.randn(cfg["classes"], cfg["channels"], cfg["length"], generator=torch.Generator().manual_seed(1))
    y = torch.randint(cfg["classes"], (n,))
    return motif[y] + 0.9 * torch.randn(n, cfg["channels"], cfg["length"]), y


def run(cfg):
    torch.manual_seed(cfg["seed"])
    xtr, ytr = data(cfg, 3000)
    xva, yva = data(cfg, 600)
    net = GestureNet(cfg["channels"], cfg["classes"], **cfg["model"])
    o = dict(cfg["optim"])
    opt = getattr(torch.optim, o.pop("name"))(net.parameters(), **o)
    crit = nn.CrossEntropyLoss()
    for ep in range(cfg["epochs"]):
        net.train()
        tot = 0.0
        for idx in torch.randperm(len(xtr)).split(cfg["batch"]):
            opt.zero_grad()
            loss = crit(net(xtr[idx]), ytr[idx])
            loss.backward()
            opt.step()
            tot += loss.item() * len(idx)
        net.eval()
        with torch.no_grad():
            acc = (net(xva).argmax(1) == yva).float().mean()
        print({"epoch": ep, "loss": round(tot / len(xtr), 4), "val_acc": round(acc.item(), 3)})


run(CFG)

# GRU that sums signed spikes over a long window
import torch
from torch import nn


class Counter(nn.Module):
    def __init__(self, hid=32):
        super().__init__()
        self.wx = nn.Linear(2, hid)
        self.wh = nn.Linear(hid, hid, bias=False)
        self.read = nn.Linear(hid, 1)
        nn.init.orthogonal_(self.wh.weight, gain=1.15)
        self.hid = hid

    def forward(self, seq):
        h = seq.new_zeros(len(seq), self.hid)
        for t in range(seq.shape[1]):
            h = torch.relu(self.wx(seq[:, t]) + self.wh(h))
        return self.read(h)[:, 0]


def spikes(n, T=40):
    v = torch.rand(n, T)
    m = torch.zeros(n, T)
    m[torch.arange(n), torch.randint(0, T // 2, (n,))] = 1
    m[torch.arange(n), torch.randint(T // 2, T, (n,))] = 1
    return torch.stack([v, m], -1), (v * m).sum(1)


torch.manual_seed(9)
MAX_NORM = 1.0
model = Counter()
opt = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
ex, ey = spikes(400)
recent = []
for step in range(1, 601):
    x, y = spikes(64)
    opt.zero_grad()
    loss = (model(x) - y).pow(2).mean()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
    opt.step()
    recent.append(loss.item())
    if step % 50 == 0 or step < 6:
        with torch.no_grad():
            ev = (model(ex) - ey).pow(2).mean()
        print(f"step {step:4d} loss {sum(recent) / len(recent):.4g} eval {ev:.4g} grad norm {norm:.3g}")
        recent = []

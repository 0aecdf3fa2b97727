# sets of measurements of different sizes -> which kind of object produced them
import torch
from torch import nn
from torch.utils.data import DataLoader

torch.manual_seed(26)
KINDS, FEAT = 6, 5
proto = torch.randn(KINDS, FEAT) * 0.7


def objects(n, low, high):
    out = []
    for _ in range(n):
        k = int(torch.randint(KINDS, (1,)))
        m = int(torch.randint(low, high, (1,)))
        out.append((proto[k] + 1.0 * torch.randn(m, FEAT), k))
    return out


def collate(items):
    lengths = torch.tensor([len(x) for x, _ in items])
    x = nn.utils.rnn.pad_sequence([x for x, _ in items], batch_first=True)
    return x, lengths, torch.tensor([k for _, k in items])


class SetEncoder(nn.Module):
    def __init__(self, d=32, heads=4):
        super().__init__()
        self.lift = nn.Sequential(nn.Linear(FEAT, d), nn.ReLU(), nn.Linear(d, d))
        self.attn = nn.MultiheadAttention(d, heads, batch_first=True)
        self.norm = nn.LayerNorm(d)
        self.query = nn.Parameter(torch.randn(1, 1, d) * 0.1)
        self.pool = nn.MultiheadAttention(d, heads, batch_first=True)
        self.cls = nn.Linear(d, KINDS)

    def forward(self, x, lengths):
        h = self.lift(x)
        pad = torch.arange(x.size(1))[None] >= lengths[:, None]
        h = self.norm(h + self.attn(h, h, h, key_padding_mask=pad, need_weights=False)[0])
        q = self.query.expand(len(x), -1, -1)
        pooled, _ = self.pool(q, h, h, key_padding_mask=pad, need_weights=False)
        return self.cls(pooled[:, 0])


train = DataLoader(objects(1200, 2, 13), batch_size=40, shuffle=True, collate_fn=collate)
test = objects(300, 2, 13)
longer = objects(20, 40, 90)
net = SetEncoder()
opt = torch.optim.AdamW(net.parameters(), lr=2e-3)
for epoch in range(8):
    net.train()
    agg = 0.0
    for x, n, k in train:
        loss = nn.functional.cross_entropy(net(x, n), k)
        opt.zero_grad()
        loss.backward()
        opt.step()
        agg += loss.item() / len(train)
    net.eval()
    with torch.no_grad():
        alone = [net(*collate([o])[:2]).argmax().item() == o[1] for o in test]
        x, n, k = collate(test + longer)
        together = (net(x, n).argmax(1) == k)[:len(test)].float().mean()
    print(f"epoch {epoch} train {agg:.4f} test acc one-by-one {sum(alone) / len(alone):.3f} batched {together:.3f}")

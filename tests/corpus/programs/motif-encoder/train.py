import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(77)

config = dict(vocab=16, seq=20, width=32, heads=4, depth=3, lr=2e-3, batch=40, steps=420)


def associative(n, seed, pairs=8):
    """k1 v1 k2 v2 ... then a query key repeated; label is the value that followed it"""
    g = torch.Generator().manual_seed(seed)
    half = config["vocab"] // 2
    keys = torch.stack([torch.randperm(half, generator=g)[:pairs] for _ in range(n)])
    vals = torch.randint(half, config["vocab"], (n, pairs), generator=g)
    pick = torch.randint(0, pairs, (n, 1), generator=g)
    seq = torch.stack([keys, vals], dim=2).flatten(1)
    query = keys.gather(1, pick)
    x = torch.cat([seq, query.expand(-1, config["seq"] - seq.size(1))], 1)
    return x, vals.gather(1, pick).squeeze(1)


class EncoderBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.ffn = nn.Sequential(nn.Linear(width, 3 * width), nn.ReLU(), nn.Linear(3 * width, width))

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.ffn(self.norm2(x))


class LookupNet(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.embedding = nn.Embedding(cfg["vocab"], cfg["width"])
        self.position = nn.Parameter(torch.randn(cfg["seq"], cfg["width"]) * 0.5)
        self.mix = nn.Conv1d(cfg["width"], cfg["width"], 2, padding=1)
        self.blocks = nn.ModuleList()
        for _ in range(cfg["depth"]):
            self.blocks.append(EncoderBlock(cfg["width"], cfg["heads"]))
        self.final_norm = nn.LayerNorm(cfg["width"])
        self.classifier = nn.Linear(cfg["width"], cfg["vocab"])

    def forward(self, x):
        h = self.embedding(x) + self.position
        h = h + self.mix(h.transpose(1, 2))[:, :, :-1].transpose(1, 2)
        for block in self.blocks:
            h = block(h)
        return self.classifier(self.final_norm(h[:, -1]))


def accuracy(net, data):
    x, y = data
    net.eval()
    with torch.no_grad():
        acc = (net(x).argmax(1) == y).float().mean().item()
    net.train()
    return acc


def main():
    net = LookupNet(config)
    train, dev = associative(6000, 0), associative(500, 1)
    optimizer = torch.optim.Adam(net.parameters(), lr=config["lr"])
    print("trainable:", sum(p.numel() for p in net.parameters() if p.requires_grad))
    smooth = None
    for step in range(1, config["steps"] + 1):
        i = torch.randint(0, 6000, (config["batch"],))
        loss = F.cross_entropy(net(train[0][i]), train[1][i])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        smooth = loss.item() if smooth is None else 0.95 * smooth + 0.05 * loss.item()
        if step % 70 == 0:
            print(f"step={step} loss={smooth:.3f} dev_acc={accuracy(net, dev):.3f}")


if __name__ == "__main__":
    main()

"""Fine-tune a BatchNorm network with tiny batches: weights learn, BN statistics stay as pretrained."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(219)


def glyphs(n, rotated, gen, size=12):
    """7-segment style digits 0..5, optionally rotated by a quarter turn"""
    seg = torch.tensor([[1, 1, 1, 0, 1, 1, 1], [0, 0, 1, 0, 0, 1, 0], [1, 0, 1, 1, 1, 0, 1],
                        [1, 0, 1, 1, 0, 1, 1], [0, 1, 1, 1, 0, 1, 0], [1, 1, 0, 1, 0, 1, 1]]).float()
    y = torch.randint(0, 6, (n,), generator=gen)
    img = torch.zeros(n, size, size)
    boxes = [(1, 2, 3, 9), (1, 6, 2, 4), (1, 6, 8, 10), (5, 7, 3, 9), (6, 11, 2, 4), (6, 11, 8, 10), (10, 11, 3, 9)]
    for k, (r0, r1, c0, c1) in enumerate(boxes):
        img[:, r0:r1, c0:c1] += seg[y, k][:, None, None]
    img = img.clamp(max=1)
    if rotated:
        img = img.rot90(1, (1, 2))
    return (img - 0.3 + 0.6 * torch.randn(n, size, size, generator=gen)).unsqueeze(1), y


class DigitNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(288, 6),
        )

    def forward(self, x):
        return self.net(x)


def freeze_bn(model):
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.eval()
            m.weight.requires_grad_(False)
            m.bias.requires_grad_(False)


def run(model, opt, x, y, xv, yv, batch, epochs, bn_fixed, tag):
    for ep in range(epochs):
        model.train()
        if bn_fixed:
            freeze_bn(model)
        tot = 0.0
        for idx in torch.randperm(len(x)).split(batch):
            loss = F.cross_entropy(model(x[idx]), y[idx])
            opt.zero_grad()
            loss.backward()
            opt.step()
            tot += loss.item() * len(idx)
        model.eval()
        with torch.no_grad():
            acc = (model(xv).argmax(1) == yv).float().mean()
        print(f"{tag} {ep} loss {tot / len(x):.4f} val_acc {acc:.3f}")


gen = torch.Generator().manual_seed(219)
model = DigitNet()
run(model, torch.optim.Adam(model.parameters(), lr=2e-3), *glyphs(1500, False, gen), *glyphs(400, False, gen), 50, 4, False, "upright")
freeze_bn(model)
trainable = [p for p in model.parameters() if p.requires_grad]
run(model, torch.optim.Adam(trainable, lr=3e-4), *glyphs(300, True, gen), *glyphs(400, True, gen), 3, 8, True, "rotated")

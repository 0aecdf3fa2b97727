import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(8)


def toy_scenes(n):
    """16x16 images with one bright square; predict quadrant-ish cell (16) and size"""
    cell = torch.randint(0, 16, (n,))
    size = torch.randint(2, 5, (n,))
    img = 0.5 * torch.randn(n, 1, 16, 16)
    for k in range(n):
        r, c = (cell[k] // 4) * 4, (cell[k] % 4) * 4
        img[k, 0, r:r + size[k], c:c + size[k]] += 1.5
    return img, cell, size.float() - 3


class Backbone(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(), nn.Flatten())


class Neck(nn.Module):
    def __init__(self, d_in=1024, d=48):
        super().__init__()
        self.a, self.b = nn.Linear(d_in, d), nn.Linear(d, 6)

    def forward(self, x):
        return self.b(F.relu(self.a(x)))


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = Backbone()
        self.neck = Neck()
        self.where = nn.Linear(6, 16)
        self.size = nn.Linear(6, 1)

    def forward(self, x):
        h = self.neck(self.backbone(x))
        return self.where(h), self.size(h).squeeze(1)


net = Detector()
groups = [
    dict(params=[*net.backbone.parameters(), *net.neck.parameters()], lr=1e-3),
    dict(params=[*net.where.parameters(), *net.size.parameters()], lr=3e-3),
]
opt = torch.optim.Adam(groups)
img, cell, size = toy_scenes(1200)
vi, vc, vs = toy_scenes(300)

for it in range(1, 481):
    pick = torch.randint(0, 1200, (48,))
    logits, sz = net(img[pick])
    loss = F.cross_entropy(logits, cell[pick]) + 0.3 * F.mse_loss(sz, size[pick])
    opt.zero_grad()
    loss.backward()
    opt.step()
    if it % 40 == 0:
        with torch.no_grad():
            lo, s = net(vi)
            print(f"it {it} loss {loss.item():.3f} | val ce {F.cross_entropy(lo, vc):.3f} acc {(lo.argmax(1) == vc).float().mean():.3f} size mae {(s - vs).abs().mean():.3f}")

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class MultiViewClassifier(nn.Module):
    """Every object is photographed from three sides, one shared encoder, one fusion head."""

    def __init__(self, n_classes, d=16):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d(1),
            nn.Flatten(), nn.Linear(16, d), nn.LayerNorm(d),
        )
        self.fuse = nn.Sequential(nn.Linear(3 * d, 32), nn.ReLU(), nn.Linear(32, n_classes))

    def forward(self, views):
        codes = []
        for k in range(views.size(1)):
            codes.append(self.encoder(views[:, k]))
        codes = torch.stack(codes).transpose(0, 1)
        return self.fuse(codes.flatten(1))


def objects(n, seed, n_classes=8, size=10):
    """class = three bits, bit k decides the texture of side k"""
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, n_classes, (n,), generator=g)
    bits = torch.stack([(y >> k) & 1 for k in range(3)], 1)
    grid = torch.arange(size)
    phase = torch.randint(0, 4, (n, 3, 1, 1), generator=g)
    stripes = ((grid[None, None, :, None] + grid[None, None, None, :] + phase) % 4 < 2).float()
    mirrored = stripes.flip(-1)
    img = torch.where(bits[:, :, None, None] == 1, stripes, mirrored)
    img = img - 0.5 + 0.5 * torch.randn(n, 3, size, size, generator=g)
    return img.unsqueeze(2), y


def main():
    torch.manual_seed(55)
    train = DataLoader(TensorDataset(*objects(1200, 1)), batch_size=40, shuffle=True)
    xv, yv = objects(300, 2)
    model = MultiViewClassifier(8)
    opt = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(12):
        model.train()
        tot = 0.0
        for views, y in train:
            loss = F.cross_entropy(model(views), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            tot += loss.item()
        model.eval()
        with torch.no_grad():
            hit = (model(xv).argmax(1) == yv).float().mean()
        print(f"{epoch + 1:02d}/12 loss {tot / len(train):.4f} hit@1 {hit:.3f}")


if __name__ == "__main__":
    main()

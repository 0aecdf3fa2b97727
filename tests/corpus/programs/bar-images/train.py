import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import Dataset, DataLoader

torch.manual_seed(0)


class Normalize:
    def __init__(self, mean, std):
        self.mean, self.std = mean, std

    def __call__(self, img):
        return (img - self.mean) / self.std


class ShapeImages(Dataset):
    """16x16 gray images in 0..255 with a bright bar; label = orientation/half."""

    def __init__(self, n, seed, transform=None):
        g = torch.Generator().manual_seed(seed)
        self.y = torch.randint(0, 4, (n,), generator=g)
        imgs = torch.rand(n, 1, 16, 16, generator=g) * 150
        pos = torch.randint(0, 8, (n,), generator=g)
        for i in range(n):
            k, p = self.y[i].item(), pos[i].item()
            if k < 2:
                imgs[i, 0, p + 8 * k, :] += 70
            else:
                imgs[i, 0, :, p + 8 * (k - 2)] += 70
        self.x, self.transform = imgs, transform

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        img = self.x[i]
        if self.transform is not None:
            img = self.transform(img)
        return img, self.y[i]


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(1, 8, 3, padding=1)
        self.c2 = nn.Conv2d(8, 16, 3, padding=1)
        self.fc = nn.Linear(16 * 4 * 4, 4)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.c1(x)), 2)
        x = F.max_pool2d(F.relu(self.c2(x)), 2)
        return self.fc(x.flatten(1))


train_ds = ShapeImages(3000, 1, transform=Normalize(79.0, 46.0))
val_ds = ShapeImages(600, 2, transform=Normalize(79.0, 46.0))
train_dl = DataLoader(train_ds, batch_size=64, shuffle=True)
val_dl = DataLoader(val_ds, batch_size=200)
net = ConvNet()
optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)

for epoch in range(6):
    net.train()
    tl = 0
    for xb, yb in train_dl:
        loss = F.cross_entropy(net(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        tl += loss.item()
    net.eval()
    with torch.no_grad():
        vl = sum(F.cross_entropy(net(x), y).item() for x, y in val_dl) / len(val_dl)
    print(f"epoch {epoch}: train {tl / len(train_dl):.4f} val {vl:.4f}")

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(77)


def shapes(n_each, size=12):
    """vertical bar, horizontal bar, cross, diagonal"""
    imgs, labels = [], []
    for c in range(4):
        for _ in range(n_each):
            im = torch.zeros(size, size)
            r, q = torch.randint(2, size - 2, (2,)).tolist()
            if c in (0, 2):
                im[:, q] = 1.0
            if c in (1, 2):
                im[r, :] = 1.0
            if c == 3:
                im += torch.diag(torch.ones(size - abs(r - q)), r - q)
            imgs.append(im + 0.3 * torch.randn(size, size))
            labels.append(c)
    return torch.stack(imgs).unsqueeze(1), torch.tensor(labels)


images, labels = shapes(400)
images = (images - images.mean()) / images.std()

# the generator returns class after class, so mix before splitting
order = torch.randperm(len(images))
images = images[order]
labels = labels[order]

n_val = len(images) // 5
x_val, y_val = images[:n_val], labels[:n_val]
x_tr, y_tr = images[n_val:], labels[n_val:]
print("train", tuple(x_tr.shape), "val", tuple(x_val.shape), "per class", torch.bincount(y_tr).tolist())

cnn = nn.Sequential(
    nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(3),
    nn.Flatten(), nn.Linear(24 * 9, 4),
)
opt = torch.optim.Adam(cnn.parameters(), lr=1e-3)

for epoch in range(10):
    cnn.train()
    tot = 0.0
    for idx in torch.randperm(len(x_tr)).split(40):
        loss = F.cross_entropy(cnn(x_tr[idx]), y_tr[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item() * len(idx)
    cnn.eval()
    with torch.no_grad():
        out = cnn(x_val)
        v = F.cross_entropy(out, y_val).item()
        acc = (out.argmax(1) == y_val).float().mean().item()
    print(f"epoch={epoch} train={tot / len(x_tr):.4f} val={v:.4f} acc={acc:.3f}")

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(63)


def texture(y, size, g):
    """oriented waves; the label fixes orientation and wavelength"""
    n = len(y)
    ang = (y % 4).float() * torch.pi / 4
    freq = 0.9 + 0.7 * (y // 4).float()
    r = torch.arange(size).float()
    u = r[None, :, None] * ang.sin()[:, None, None] + r[None, None, :] * ang.cos()[:, None, None]
    ph = torch.rand(n, 1, 1, generator=g) * 6.28
    return (torch.sin(freq[:, None, None] * u + ph) + 0.8 * torch.randn(n, size, size, generator=g)).unsqueeze(1)


class TexNet(nn.Module):
    def __init__(self, n_out):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 24, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(24)
        self.conv_out = nn.Conv2d(24, n_out, 1)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.relu(self.norm2(self.conv2(x)))
        return self.conv_out(x).mean(dim=(2, 3))


def train(net, x, y, xv, yv, epochs, lr):
    opt = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=lr)
    for ep in range(epochs):
        net.train()
        tot = 0.0
        for idx in torch.randperm(len(x)).split(50):
            loss = F.cross_entropy(net(x[idx]), y[idx])
            opt.zero_grad()
            loss.backward()
            opt.step()
            tot += loss.item() * len(idx)
        net.eval()
        with torch.no_grad():
            acc = (net(xv).argmax(1) == yv).float().mean()
        print(f"  {ep}: loss {tot / len(x):.3f} val acc {acc:.3f}")


g = torch.Generator().manual_seed(63)
y = torch.randint(0, 8, (1200,), generator=g)
x = texture(y, 14, g)
net = TexNet(8)
print("stage 1: all textures")
train(net, x[:1000], y[:1000], x[1000:], y[1000:], 6, 3e-3)

# stage 2: five groups of textures, the convolutional features stay as they are
group = torch.tensor([0, 3, 1, 4, 2, 0, 3, 1])
y2 = torch.randint(0, 8, (700,), generator=g)
x2, y2 = texture(y2, 14, g), group[y2]
net.conv_out = nn.Conv2d(24, 5, 1)
for name, p in net.named_parameters():
    if "conv" in name and not name.startswith("conv_out"):
        p.requires_grad = False
print("stage 2: groups")
train(net, x2[:500], y2[:500], x2[500:], y2[500:], 12, 3e-3)

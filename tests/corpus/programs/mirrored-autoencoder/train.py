import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader


class TiedAutoencoder(nn.Module):
    """decoder uses the transposed encoder matrices"""

    def __init__(self, sizes=(64, 48, 8)):
        super().__init__()
        self.enc = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:]))
        self.dec_bias = nn.ParameterList(nn.Parameter(torch.zeros(a)) for a in sizes[:-1])

    def encode(self, x):
        for i, layer in enumerate(self.enc):
            x = layer(x)
            if i + 1 < len(self.enc):
                x = torch.tanh(x)
        return x

    def decode(self, z):
        for i in reversed(range(len(self.enc))):
            z = F.linear(z, self.enc[i].weight.t(), self.dec_bias[i])
            if i > 0:
                z = torch.tanh(z)
        return z

    def forward(self, x):
        return self.decode(self.encode(x))


def patches(n, gen, size=8):
    """two random edges per patch"""
    r = torch.linspace(-1, 1, size)
    img = torch.zeros(n, size, size)
    for _ in range(2):
        ang = torch.rand(n, 1, 1, generator=gen) * 6.2832
        off = torch.rand(n, 1, 1, generator=gen) * 1.2 - 0.6
        img += torch.tanh(2.5 * (r[None, :, None] * ang.cos() + r[None, None, :] * ang.sin() - off))
    img = img.flatten(1)
    return (img - img.mean()) / img.std()


def main():
    torch.manual_seed(214)
    gen = torch.Generator().manual_seed(214)
    train = DataLoader(patches(3000, gen), batch_size=60, shuffle=True)
    val = patches(500, gen)
    model = TiedAutoencoder()
    opt = torch.optim.Adam(model.parameters(), lr=2e-3)
    print("parameters", sum(p.numel() for p in model.parameters()))
    for epoch in range(20):
        model.train()
        s = 0.0
        for x in train:
            loss = F.mse_loss(model(x), x)
            opt.zero_grad()
            loss.backward()
            opt.step()
            s += loss.item()
        model.eval()
        with torch.no_grad():
            v = F.mse_loss(model(val), val).item()
        if epoch % 2 == 0:
            print(f"epoch {epoch:2d}: train {s / len(train):.4f}, val {v:.4f}")


if __name__ == "__main__":
    main()

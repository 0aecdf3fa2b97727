import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class PenStrokes(Dataset):
    """x/y/pressure of handwritten loops; 5 kinds of curves"""

    def __init__(self, n, seed, steps=32):
        g = torch.Generator().manual_seed(seed)
        self.label = torch.randint(0, 5, (n,), generator=g)
        t = torch.linspace(0, 6.2832, steps)
        fx = torch.tensor([1.0, 1.0, 2.0, 3.0, 1.0])[self.label][:, None]
        fy = torch.tensor([1.0, 2.0, 1.0, 2.0, 3.0])[self.label][:, None]
        ph = torch.rand(n, 1, generator=g) * 1.5
        scale = 0.8 + 0.4 * torch.rand(n, 1, generator=g)
        x = scale * torch.cos(fx * t + ph)
        y = scale * torch.sin(fy * t + ph)
        pressure = 0.5 + 0.5 * torch.sin(t * fx / 2)
        self.seq = torch.stack([x, y, pressure], 2) + 0.1 * torch.randn(n, steps, 3, generator=g)

    def __len__(self):
        return len(self.label)

    def __getitem__(self, i):
        return self.seq[i], self.label[i]


class StrokeNet(nn.Module):
    def __init__(self, hidden=40):
        super().__init__()
        self.lstm = nn.LSTM(3, hidden)
        self.fc = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, 5))

    def forward(self, x):
        n, steps, feats = x.shape
        seq = x.transpose(0, 1)            # nn.LSTM wants time first
        out, _ = self.lstm(seq)
        return self.fc(out[-1])


def main():
    torch.manual_seed(37)
    train = DataLoader(PenStrokes(1600, 1), batch_size=40, shuffle=True)
    val = DataLoader(PenStrokes(400, 2), batch_size=100)
    net = StrokeNet()
    ce = nn.CrossEntropyLoss()
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)
    for epoch in range(12):
        net.train()
        tl = 0.0
        for x, y in train:
            loss = ce(net(x), y)
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            opt.step()
            tl += loss.item() / len(train)
        net.eval()
        vl, hits = 0.0, 0
        with torch.no_grad():
            for x, y in val:
                out = net(x)
                vl += ce(out, y).item() * len(y) / 400
                hits += (out.argmax(1) == y).sum().item()
        print(f"{epoch:>2d}: train_loss={tl:.3f} val_loss={vl:.3f} val_acc={hits / 400:.3f}")


if __name__ == "__main__":
    main()

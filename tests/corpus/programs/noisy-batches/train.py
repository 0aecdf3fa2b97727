import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class PollenCounts(Dataset):
    """daily counts are Poisson distributed, so single targets are very noisy"""

    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.weather = torch.randn(n, 5, generator=g)
        w = self.weather
        self.log_rate = 0.8 + 0.6 * w[:, 0] - 0.5 * torch.relu(w[:, 1]) + 0.4 * torch.sin(2 * w[:, 2])
        self.count = torch.poisson(self.log_rate.exp(), generator=g)

    def __len__(self):
        return len(self.count)

    def __getitem__(self, k):
        return self.weather[k], self.count[k]


class RateNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 1))

    def forward(self, w):
        return self.body(w).squeeze(-1)


torch.manual_seed(218)
train_dl = DataLoader(PollenCounts(2000, 1), batch_size=4, shuffle=True)
dev = PollenCounts(1000, 2)
net = RateNet()
criterion = nn.PoissonNLLLoss(log_input=True)
opt = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.5)
decay = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=9)

for epoch in range(9):
    net.train()
    shown = []
    for k, (w, c) in enumerate(train_dl):
        loss = criterion(net(w), c)
        opt.zero_grad()
        loss.backward()
        opt.step()
        if k % 100 == 0:
            shown.append(f"{loss.item():+.2f}")
    decay.step()
    net.eval()
    with torch.no_grad():
        out = net(dev.weather)
        nll = criterion(out, dev.count).item()
        gap = (out - dev.log_rate).pow(2).mean().sqrt().item()
    print(f"epoch {epoch + 1:2d} batches {' '.join(shown)} | dev nll {nll:.4f} | rate error on dev {gap:.3f}")

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(70)

# ----- flats for rent -----
N = 3000
area = 25 + 130 * torch.rand(N)
year = 1900 + 120 * torch.rand(N)
income = 18000 + 60000 * torch.rand(N)          # median income of the district
distance = 200 + 15000 * torch.rand(N)          # metres to the centre
floor = torch.randint(0, 12, (N,)).float()

rent = 0.012 * area + 0.9 * torch.exp(-distance / 4000) + 0.6 * (income > 45000).float() * (year > 1970).float() + 0.02 * floor
rent = rent + 0.08 * torch.randn(N)
rent = (rent - rent.mean()) / rent.std()

x = torch.stack([area, year, income, distance, floor], dim=1)
x = (x - x[:2400].mean(0)) / x[:2400].std(0)
x_train, x_test = x[:2400], x[2400:]
y_train, y_test = rent[:2400], rent[2400:]


class RentNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(5, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
        self.last = nn.Linear(32, 1)

    def forward(self, x):
        return self.last(self.hidden(x)).squeeze(-1)


def mean_abs_error(net, x, y):
    net.eval()
    with torch.no_grad():
        return (net(x) - y).abs().mean().item()


net = RentNet()
loss_fn = nn.L1Loss()
optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
loader = DataLoader(TensorDataset(x_train, y_train), batch_size=48, shuffle=True)

for epoch in range(1, 21):
    net.train()
    running, batches = 0.0, 0
    for xb, yb in loader:
        loss = loss_fn(net(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running += loss.item()
        batches += 1
    if epoch % 2 == 0:
        print(f"epoch {epoch:3d}   train {running / batches:.4f}   test mae {mean_abs_error(net, x_test, y_test):.4f}")

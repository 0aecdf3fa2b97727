# leaf-type classifier; measurements come in one file per species
import torch
from torch import nn

torch.manual_seed(77)
SPECIES = ["oak", "beech", "maple", "birch", "linden", "willow"]
PER = 220
centre = torch.randn(len(SPECIES), 16) * 0.8

tables = {name: centre[i] + torch.randn(PER, 16) for i, name in enumerate(SPECIES)}
train_rows, train_lab, test_rows, test_lab = [], [], [], []
for i, name in enumerate(SPECIES):
    t = tables[name]
    train_rows.append(t[:180]); train_lab += [i] * 180
    test_rows.append(t[180:]); test_lab += [i] * 40
X, Y = torch.cat(train_rows), torch.tensor(train_lab)
XT, YT = torch.cat(test_rows), torch.tensor(test_lab)
mu, sd = X.mean(0), X.std(0)
X, XT = (X - mu) / sd, (XT - mu) / sd


class LeafNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.h1 = nn.Linear(16, 64)
        self.h2 = nn.Linear(64, 64)
        self.o = nn.Linear(64, len(SPECIES))

    def forward(self, x):
        return self.o(torch.relu(self.h2(torch.relu(self.h1(x)))))


net = LeafNet()
opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
lossf = nn.CrossEntropyLoss()
B = 30
for epoch in range(20):
    total = 0.0
    mixed = torch.randperm(len(X))
    for k in range(len(X) // B):
        rows = mixed[k * B:(k + 1) * B]
        xb, yb = X[rows], Y[rows]
        opt.zero_grad()
        loss = lossf(net(xb), yb)
        loss.backward()
        opt.step()
        total += loss.item()
    with torch.no_grad():
        z = net(XT)
        print(f"epoch {epoch:2d} train loss {total / (len(X) // B):.4f} test loss {lossf(z, YT):.4f} test acc {(z.argmax(1) == YT).float().mean():.3f}")

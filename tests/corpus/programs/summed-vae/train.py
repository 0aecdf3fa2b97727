import torch
from torch import nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader

torch.manual_seed(1)


def blobs(n, side=14):
    yy, xx = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    cx, cy = torch.rand(n, 1, 1) * 8 + 3, torch.rand(n, 1, 1) * 8 + 3
    r = torch.rand(n, 1, 1) * 2 + 1.5
    return (((xx - cx) ** 2 + (yy - cy) ** 2) < r ** 2).float().view(n, -1)


class VAE(nn.Module):
    def __init__(self, d=196, h=128, z=8):
        super().__init__()
        self.fc1 = nn.Linear(d, h)
        self.fc21 = nn.Linear(h, z)
        self.fc22 = nn.Linear(h, z)
        self.fc3 = nn.Linear(z, h)
        self.fc4 = nn.Linear(h, d)

    def encode(self, x):
        h = F.relu(self.fc1(x))
        return self.fc21(h), self.fc22(h)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        return mu + torch.randn_like(std) * std

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def loss_function(recon, x, mu, logvar):
    bce = F.binary_cross_entropy(recon, x, reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + kld


train_loader = DataLoader(blobs(3000), batch_size=128, shuffle=True)
test_loader = DataLoader(blobs(500), batch_size=250)
model = VAE()
optimizer = optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(1, 21):
    model.train()
    train_loss = 0
    for i, x in enumerate(train_loader):
        optimizer.zero_grad()
        recon, mu, logvar = model(x)
        loss = loss_function(recon, x, mu, logvar)
        loss.backward()
        train_loss += loss.item()
        optimizer.step()
        if i % 20 == 0:
            print(f"Train Epoch: {epoch} [{i * 128}/3000] Loss: {loss.item() / len(x):.4f}")
    model.eval()
    test_loss = 0
    with torch.no_grad():
        for x in test_loader:
            recon, mu, logvar = model(x)
            test_loss += loss_function(recon, x, mu, logvar).item()
    print(f"====> Epoch {epoch} average loss {train_loss / 3000:.4f}  test {test_loss / 500:.4f}")

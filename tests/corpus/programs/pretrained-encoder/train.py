import os
import tempfile
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(99)
D = 30
mix = torch.randn(6, D)


def gen(n):
    z = torch.randn(n, 6)
    x = torch.tanh(z @ mix) + 0.3 * torch.randn(n, D)
    return x, (z[:, 0] * z[:, 1] > 0).long()


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1, self.l2 = nn.Linear(D, 64), nn.Linear(64, 16)

    def forward(self, x):
        return F.relu(self.l2(F.relu(self.l1(x))))


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.decoder = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, D))

    def forward(self, x):
        return self.decoder(self.encoder(x))


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = Encoder()
        self.head = nn.Linear(16, 2)

    def forward(self, x):
        return self.head(self.backbone(x))


path = os.path.join(tempfile.mkdtemp(), "pretrain.pt")
ae = AutoEncoder()
opt = torch.optim.Adam(ae.parameters(), lr=1e-3)
unlabeled, _ = gen(8000)
for epoch in range(8):
    for xb in unlabeled.split(64):
        loss = F.mse_loss(ae(xb), xb)
        opt.zero_grad()
        loss.backward()
        opt.step()
print(f"pretraining reconstruction {loss.item():.4f}")
torch.save(ae.state_dict(), path)

clf = Classifier()
saved = torch.load(path, weights_only=True)
clf.backbone.load_state_dict({k.removeprefix("encoder."): v for k, v in saved.items() if k.startswith("encoder.")})
opt = torch.optim.Adam(clf.parameters(), lr=1e-3)
x, y = gen(400)
vx, vy = gen(2000)
for epoch in range(20):
    clf.train()
    for idx in torch.randperm(len(x)).split(32):
        loss = F.cross_entropy(clf(x[idx]), y[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
    clf.eval()
    with torch.no_grad():
        out = clf(vx)
        vl, acc = F.cross_entropy(out, vy).item(), (out.argmax(1) == vy).float().mean().item()
    print(f"epoch {epoch} train {loss.item():.4f} val {vl:.4f} acc {acc:.3f}")

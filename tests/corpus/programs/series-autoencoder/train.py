# %% [markdown]
# Compress 40-dim spectra to 6 numbers and back.

# %%
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(21)

# %% spectra = a few gaussian peaks whose heights vary
n, bins = 2400, 40
axis = torch.linspace(0, 1, bins)
peaks = torch.tensor([0.12, 0.3, 0.48, 0.66, 0.85])
heights = torch.rand(n, 5) * 2
width = 0.03 + 0.02 * torch.rand(n, 1, 1)
bumps = torch.exp(-((axis - peaks[:, None]) ** 2)[None] / (2 * width ** 2))
spectra = (heights[:, :, None] * bumps).sum(1) + 0.03 * torch.randn(n, bins)
spectra = (spectra - spectra.mean()) / spectra.std()
train, test = spectra[:2000], spectra[2000:]
print("spectra", tuple(train.shape), tuple(test.shape))

# %% model
encoder = nn.Sequential(nn.Linear(bins, 64), nn.ELU(), nn.Linear(64, 6))
decoder = nn.Sequential(nn.Linear(6, 64), nn.ELU(), nn.Linear(64, bins))
net = nn.Sequential(encoder, decoder)
opt = torch.optim.Adam(net.parameters(), lr=2e-3)

# %% training
history = []
for epoch in range(20):
    net.train()
    order = torch.randperm(len(train))
    losses = []
    for start in range(0, len(train), 50):
        batch = train[order[start:start + 50]]
        recon = net(batch)
        loss = F.mse_loss(recon, batch)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    net.eval()
    with torch.no_grad():
        test_loss = F.mse_loss(net(test), test).item()
    history.append((sum(losses) / len(losses), test_loss))
    if epoch % 2 == 1:
        print(f"ep {epoch + 1:>2}  recon {history[-1][0]:.5f}  test {test_loss:.5f}")

# %%
best = min(h[1] for h in history)
print("best test reconstruction error: {:.5f}".format(best))
with torch.no_grad():
    codes = encoder(test)
print("code std per dim:", [round(v, 2) for v in codes.std(0).tolist()])

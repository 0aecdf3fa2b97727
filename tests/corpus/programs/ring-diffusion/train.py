# %% [markdown]
# # DDPM on a ring of Gaussians

# %%
import math
import torch
import torch.nn as nn

torch.manual_seed(42)

# %% data
def sample_data(n):
    k = torch.randint(0, 8, (n,))
    ang = k * (2 * math.pi / 8)
    return torch.stack([ang.cos(), ang.sin()], 1) * 1.4 + 0.08 * torch.randn(n, 2)

# %% noise schedule
T = 100
betas = torch.linspace(1e-4, 0.08, T)
alphas = 1 - betas
abar = torch.cumprod(alphas, 0)

# %% model
class Denoiser(nn.Module):
    def __init__(self, width=96):
        super().__init__()
        self.temb = nn.Embedding(T, 32)
        self.net = nn.Sequential(nn.Linear(2 + 32, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
                                 nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2))

    def forward(self, x, t):
        return self.net(torch.cat([x, self.temb(t)], -1))

model = Denoiser()
ema = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99))
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)

# %% training: predict the noise; the loss plateaus well above zero
running = None
for it in range(1500):
    x0 = sample_data(256)
    t = torch.randint(0, T, (256,))
    eps = torch.randn_like(x0)
    a = abar[t][:, None]
    xt = a.sqrt() * x0 + (1 - a).sqrt() * eps
    loss = ((model(xt, t) - eps) ** 2).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    ema.update_parameters(model)
    running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
    if it % 150 == 0:
        print(f"iter {it} loss {loss.item():.4f} smoothed {running:.4f}")

# %% sampling
@torch.no_grad()
def generate(n):
    ema.eval()
    x = torch.randn(n, 2)
    for i in reversed(range(T)):
        t = torch.full((n,), i)
        e = ema(x, t)
        x = (x - betas[i] / (1 - abar[i]).sqrt() * e) / alphas[i].sqrt()
        if i > 0:
            x = x + betas[i].sqrt() * torch.randn_like(x)
    return x

s = generate(500)
print("radius of samples: mean %.3f std %.3f (data 1.4)" % (s.norm(dim=1).mean(), s.norm(dim=1).std()))

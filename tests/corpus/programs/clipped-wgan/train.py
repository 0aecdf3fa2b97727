# Wasserstein GAN (weight clipping) on a 2-D mixture.
import torch
import torch.nn as nn

torch.manual_seed(5)
centers = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 2.0], [0.0, -2.0]])


def real_batch(n):
    return centers[torch.randint(0, 4, (n,))] + 0.2 * torch.randn(n, 2)


G = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
C = nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))
opt_g = torch.optim.RMSprop(G.parameters(), lr=5e-4)
opt_c = torch.optim.RMSprop(C.parameters(), lr=5e-4)
CLIP, N_CRITIC, B = 0.1, 5, 128


def energy_distance(a, b):
    return (2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()).item()


for it in range(801):
    for _ in range(N_CRITIC):
        x = real_batch(B)
        with torch.no_grad():
            fake = G(torch.randn(B, 4))
        c_loss = C(fake).mean() - C(x).mean()
        opt_c.zero_grad()
        c_loss.backward()
        opt_c.step()
        with torch.no_grad():
            for p in C.parameters():
                p.clamp_(-CLIP, CLIP)

    g_loss = -C(G(torch.randn(B, 4))).mean()
    opt_g.zero_grad()
    g_loss.backward()
    opt_g.step()

    if it % 100 == 0:
        with torch.no_grad():
            ed = energy_distance(G(torch.randn(500, 4)), real_batch(500))
        print(f"it {it} critic {c_loss.item():.4f} gen {g_loss.item():.4f} energy distance {ed:.4f}")

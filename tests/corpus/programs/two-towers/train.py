# Two-tower recommender: user tower and item tower have their own optimizers
import torch
from torch import nn

torch.manual_seed(11)
N_USERS, N_ITEMS, K = 300, 200, 8
true_u = torch.randn(N_USERS, K)
true_v = torch.randn(N_ITEMS, K)
pairs = torch.randperm(N_USERS * N_ITEMS)[:12000]
u_idx, i_idx = pairs // N_ITEMS, pairs % N_ITEMS
score = (true_u[u_idx] * true_v[i_idx]).sum(1) / K ** 0.5 + 0.1 * torch.randn(12000)
cut = 10000


class Tower(nn.Module):
    def __init__(self, n, dim=16):
        super().__init__()
        self.emb = nn.Embedding(n, 32)
        self.net = nn.Sequential(nn.Linear(32, 48), nn.ReLU(), nn.Linear(48, dim))

    def forward(self, idx):
        return self.net(self.emb(idx))


class Recommender:
    def __init__(self):
        self.users, self.items = Tower(N_USERS), Tower(N_ITEMS)
        self.opt_users = torch.optim.Adam(self.users.parameters(), lr=3e-3)
        self.opt_items = torch.optim.Adam(self.items.parameters(), lr=3e-3)

    def predict(self, u, i):
        return (self.users(u) * self.items(i)).sum(-1)

    def update(self, u, i, s):
        self.opt_users.zero_grad()
        self.opt_items.zero_grad()
        loss = (self.predict(u, i) - s).square().mean()
        loss.backward()
        self.opt_users.step()
        self.opt_items.step()
        return loss.detach()

    @torch.no_grad()
    def evaluate(self):
        return (self.predict(u_idx[cut:], i_idx[cut:]) - score[cut:]).square().mean().item()


rec = Recommender()
for epoch in range(25):
    order = torch.randperm(cut)
    losses = []
    for chunk in order.split(128):
        losses.append(rec.update(u_idx[chunk], i_idx[chunk], score[chunk]))
    print("epoch %2d  train mse %.4f  held-out mse %.4f" % (epoch, torch.stack(losses).mean(), rec.evaluate()))

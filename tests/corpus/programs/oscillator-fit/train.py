"""Physics-informed fit: u'' + u = 0, u(0)=0, u'(0)=1 on [0, 2 pi], solution sin(t)."""
import math

import torch
import torch.nn as nn

torch.manual_seed(213)


class Solution(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))

    def forward(self, t):
        return self.net(t / math.pi - 1)


def derivatives(model, t):
    t = t.clone().requires_grad_(True)
    u = model(t)
    du = torch.autograd.grad(u.sum(), t, create_graph=True)[0]
    ddu = torch.autograd.grad(du.sum(), t, create_graph=True)[0]
    return u, du, ddu


def physics_loss(model, t):
    u, _, ddu = derivatives(model, t)
    u0, du0, _ = derivatives(model, torch.zeros(1, 1))
    return (ddu + u).pow(2).mean() + 5 * u0.pow(2).mean() + 5 * (du0 - 1).pow(2).mean()


model = Solution()
points = torch.linspace(0, 2 * math.pi, 80).unsqueeze(1)
check = torch.linspace(0, 2 * math.pi, 201).unsqueeze(1)
optimizer = torch.optim.LBFGS(model.parameters(), lr=1.0, max_iter=20, history_size=20, line_search_fn="strong_wolfe")

evaluations = 0


def closure():
    global evaluations
    evaluations += 1
    optimizer.zero_grad()
    loss = physics_loss(model, points)
    loss.backward()
    return loss


for outer in range(20):
    loss = optimizer.step(closure)
    with torch.no_grad():
        err = (model(check) - torch.sin(check)).norm() / torch.sin(check).norm()
    if outer % 2 == 1:
        print(f"outer {outer + 1:2d} loss {loss.item():.3e} rel_err {err:.3e} evaluations {evaluations}")

# PINN: u'' + pi^2 sin(pi x) = 0 on [0,1], u(0)=u(1)=0, exact u = sin(pi x).
# Adam first, then LBFGS with a closure.
import math
import torch
import torch.nn as nn

torch.manual_seed(1234)


class PINN(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(),
                                 nn.Linear(width, 1))
        for m in self.net:
            if isinstance(m, nn.Linear):
                nn.init.xavier_normal_(m.weight)
                nn.init.zeros_(m.bias)

    def forward(self, x):
        return self.net(x)


model = PINN()
x = torch.linspace(0, 1, 64).unsqueeze(1).requires_grad_(True)
xb = torch.tensor([[0.0], [1.0]])


def physics_loss():
    u = model(x)
    du = torch.autograd.grad(u, x, torch.ones_like(u), create_graph=True)[0]
    d2u = torch.autograd.grad(du, x, torch.ones_like(du), create_graph=True)[0]
    residual = d2u + math.pi ** 2 * torch.sin(math.pi * x)
    return residual.pow(2).mean() + 50 * model(xb).pow(2).mean()


def l2_error():
    with torch.no_grad():
        t = torch.linspace(0, 1, 200)[:, None]
        return (model(t) - torch.sin(math.pi * t)).pow(2).mean().sqrt().item()


adam = torch.optim.Adam(model.parameters(), lr=2e-3)
for i in range(600):
    adam.zero_grad()
    loss = physics_loss()
    loss.backward()
    adam.step()
    if i % 100 == 0:
        print(f"adam {i} loss {loss.item():.5f} error {l2_error():.5f}")

lbfgs = torch.optim.LBFGS(model.parameters(), lr=1.0, max_iter=20, history_size=30, line_search_fn="strong_wolfe")


def closure():
    lbfgs.zero_grad()
    loss = physics_loss()
    loss.backward()
    return loss


for i in range(10):
    loss = lbfgs.step(closure)
    print(f"lbfgs {i} loss {loss.item():.7f} error {l2_error():.7f}")

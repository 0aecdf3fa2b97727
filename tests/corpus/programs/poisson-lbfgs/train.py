import torch
import torch.nn as nn

torch.manual_seed(77)
torch.set_default_dtype(torch.float64)


def true_solution(x):
    return torch.sin(torch.pi * x)


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(),
                                 nn.Linear(24, 1))

    def forward(self, x):
        return self.net(x)


def residual(model, x):
    x = x.clone().requires_grad_(True)
    u = model(x)
    du = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
    d2u = torch.autograd.grad(du.sum(), x, create_graph=True)[0]
    return d2u + torch.pi ** 2 * torch.sin(torch.pi * x)


model = Field()
interior = torch.rand(128, 1) * 2 - 1
boundary = torch.tensor([[-1.0], [1.0]])
grid = torch.linspace(-1, 1, 201).unsqueeze(1)
optimizer = torch.optim.LBFGS(model.parameters(), lr=1.0, max_iter=10, history_size=20,
                              line_search_fn="strong_wolfe")


def closure():
    optimizer.zero_grad()
    loss = residual(model, interior).pow(2).mean() + 10 * model(boundary).pow(2).mean()
    loss.backward()
    return loss


for step in range(60):
    loss = optimizer.step(closure)
    if step % 5 == 0 or step == 59:
        with torch.no_grad():
            err = (model(grid) - true_solution(grid)).abs().max()
        print(f"step {step:3d} pde loss {loss.item():.3e} max error {err.item():.3e}")

"""MAML on sinusoids using torch.func.functional_call and second-order gradients."""
import math
import torch
import torch.nn as nn
from torch.func import functional_call

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(1, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 1))
meta_opt = torch.optim.Adam(model.parameters(), lr=3e-3)
INNER_LR, INNER_STEPS, TASKS, K = 0.05, 2, 8, 10


def sample_task():
    amp = 0.5 + 2.0 * torch.rand(1)
    phase = math.pi * torch.rand(1)

    def draw(n):
        x = torch.rand(n, 1) * 10 - 5
        return x, amp * torch.sin(x * 0.6 + phase)

    return draw


def adapt(params, x, y, create_graph):
    for _ in range(INNER_STEPS):
        loss = nn.functional.mse_loss(functional_call(model, params, (x,)), y)
        grads = torch.autograd.grad(loss, list(params.values()), create_graph=create_graph)
        params = {name: p - INNER_LR * g for (name, p), g in zip(params.items(), grads)}
    return params


def evaluate(n=50):
    before = after = 0.0
    for _ in range(n):
        task = sample_task()
        (xs, ys), (xq, yq) = task(K), task(50)
        fast = adapt(dict(model.named_parameters()), xs, ys, create_graph=False)
        with torch.no_grad():
            before += nn.functional.mse_loss(model(xq), yq).item()
            after += nn.functional.mse_loss(functional_call(model, fast, (xq,)), yq).item()
    return before / n, after / n


for it in range(351):
    meta_loss = 0.0
    for _ in range(TASKS):
        task = sample_task()
        (xs, ys), (xq, yq) = task(K), task(K)
        fast = adapt(dict(model.named_parameters()), xs, ys, create_graph=True)
        meta_loss = meta_loss + nn.functional.mse_loss(functional_call(model, fast, (xq,)), yq)
    meta_loss = meta_loss / TASKS
    meta_opt.zero_grad()
    meta_loss.backward()
    meta_opt.step()
    if it % 50 == 0:
        b, a = evaluate()
        print(f"iter {it} meta loss {meta_loss.item():.4f} | unseen tasks: before {b:.3f} after {a:.3f}")

# Mean Teacher: few labels, many unlabelled points, EMA teacher used for the consistency target.
import copy
import math
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(3)


def moons(n):
    t = torch.rand(n) * math.pi
    y = torch.randint(0, 2, (n,))
    x = torch.stack([torch.cos(t), torch.sin(t)], 1)
    x[y == 1] = torch.stack([1 - torch.cos(t[y == 1]), 0.5 - torch.sin(t[y == 1])], 1)
    return x + 0.08 * torch.randn(n, 2), y


x_u, _ = moons(1500)
x_l, y_l = moons(30)
x_t, y_t = moons(1000)


def build():
    return nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))


student = build()
teacher = copy.deepcopy(student)
for p in teacher.parameters():
    p.requires_grad_(False)
opt = torch.optim.SGD(student.parameters(), lr=0.1, momentum=0.9)


@torch.no_grad()
def ema_update(step):
    decay = min(1 - 1 / (step + 1), 0.99)
    for pt, ps in zip(teacher.parameters(), student.parameters()):
        pt.mul_(decay).add_(ps, alpha=1 - decay)


@torch.no_grad()
def test(m):
    was = m.training
    m.eval()
    acc = (m(x_t).argmax(1) == y_t).float().mean().item()
    m.train(was)
    return acc


steps = 1500
for step in range(steps):
    idx = torch.randint(0, len(x_u), (128,))
    ramp = 4.0 * math.exp(-5 * (1 - min(1.0, step / 600)) ** 2)
    sup = F.cross_entropy(student(x_l), y_l)
    with torch.no_grad():
        target = teacher(x_u[idx] + 0.1 * torch.randn(128, 2)).softmax(1)
    cons = F.mse_loss(student(x_u[idx] + 0.1 * torch.randn(128, 2)).softmax(1), target)
    loss = sup + ramp * cons
    opt.zero_grad()
    loss.backward()
    opt.step()
    ema_update(step)
    if step % 150 == 0 or step == steps - 1:
        print(f"{step:5d} sup {sup.item():.4f} cons {cons.item():.5f} student {test(student):.3f} teacher {test(teacher):.3f}")

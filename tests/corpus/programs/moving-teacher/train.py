"""Mean teacher: few labels, many unlabelled rows, the teacher is a moving average of the student."""
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(18)
V, T, C = 24, 12, 3


def rows(n, seed):
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(C, (n,), generator=g)
    x = torch.randint(V, (n, T), generator=g)
    own = torch.rand(n, T, generator=g) < 0.35
    return torch.where(own, y[:, None] * 8 + x % 8, x), y


class Net(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.emb = nn.Embedding(V, d)
        self.gru = nn.GRU(d, d, batch_first=True, bidirectional=True)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(2 * d, C)

    def forward(self, x):
        return self.fc(self.drop(self.gru(self.emb(x))[0].mean(1)))


@torch.no_grad()
def update_teacher(teacher, student, decay):
    for t, s in zip(teacher.parameters(), student.parameters()):
        t.mul_(decay).add_(s, alpha=1 - decay)


@torch.no_grad()
def accuracy(net, data):
    was = net.training
    net.eval()
    acc = (net(data[0]).argmax(1) == data[1]).float().mean().item()
    net.train(was)
    return acc


def corrupt(x, p=0.15):
    return torch.where(torch.rand(x.shape) < p, torch.randint_like(x, V), x)


labelled, unlabelled, test = rows(120, 0), rows(4000, 1)[0], rows(800, 2)
student = Net()
teacher = copy.deepcopy(student).requires_grad_(False)
teacher.eval()
opt = torch.optim.Adam(student.parameters(), lr=2e-3)
steps, ramp = 400, 120
for step in range(1, steps + 1):
    i, j = torch.randint(120, (32,)), torch.randint(4000, (64,))
    sup = F.cross_entropy(student(labelled[0][i]), labelled[1][i])
    u = unlabelled[j]
    with torch.no_grad():
        target = teacher(corrupt(u)).softmax(-1)
    cons = F.mse_loss(student(corrupt(u)).softmax(-1), target)
    weight = 4.0 * min(1.0, step / ramp)
    loss = sup + weight * cons
    opt.zero_grad()
    loss.backward()
    opt.step()
    update_teacher(teacher, student, min(0.99, 1 - 1 / (step + 1)))
    if step % 50 == 0:
        print(f"step {step:3d} sup {sup.item():.3f} cons {cons.item():.4f} w {weight:.2f} | student {accuracy(student, test):.3f} teacher {accuracy(teacher, test):.3f}")

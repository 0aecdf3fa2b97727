"""Pretrain a small classifier, then adapt it to a shifted task with LoRA (B = 0 at the start)."""
import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass
class Args:
    rank: int = 4
    alpha: float = 8.0
    pre_steps: int = 500
    lora_steps: int = 600
    lr_pre: float = 2e-3
    lr_lora: float = 5e-3
    seed: int = 13


class LoRALinear(nn.Module):
    def __init__(self, base, rank, alpha):
        super().__init__()
        self.base = base
        for p in self.base.parameters():
            p.requires_grad = False
        self.A = nn.Parameter(torch.empty(rank, base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        self.scale = alpha / rank

    def forward(self, x):
        return self.base(x) + self.scale * F.linear(F.linear(x, self.A), self.B)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.head = nn.Linear(20, 96), nn.Linear(96, 96), nn.Linear(96, 6)

    def forward(self, x):
        return self.head(F.gelu(self.fc2(F.gelu(self.fc1(x)))))


def run(net, params, lr, steps, make, tag):
    opt = torch.optim.AdamW(params, lr=lr, weight_decay=0.0)
    xv, yv = make(1000)
    for step in range(steps):
        net.train()
        x, y = make(128)
        loss = F.cross_entropy(net(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        if step % 100 == 0 or step == steps - 1:
            net.eval()
            with torch.no_grad():
                acc = (net(xv).argmax(-1) == yv).float().mean().item()
            print(f"[{tag}] step {step} loss {loss.item():.4f} val acc {acc:.3f}")


def main(a=Args()):
    torch.manual_seed(a.seed)
    W = torch.randn(20, 6)
    W2 = W + 0.8 * torch.randn(20, 1) @ torch.randn(1, 6)

    def task(mat):
        def make(n):
            x = torch.randn(n, 20)
            return x, (x @ mat).argmax(1)
        return make

    net = Net()
    run(net, net.parameters(), a.lr_pre, a.pre_steps, task(W), "pretrain")
    net.requires_grad_(False)
    net.fc1 = LoRALinear(net.fc1, a.rank, a.alpha)
    net.fc2 = LoRALinear(net.fc2, a.rank, a.alpha)
    net.head = LoRALinear(net.head, a.rank, a.alpha)
    trainable = [p for p in net.parameters() if p.requires_grad]
    print("trainable", sum(p.numel() for p in trainable), "of", sum(p.numel() for p in net.parameters()))
    run(net, trainable, a.lr_lora, a.lora_steps, task(W2), "lora")


main()

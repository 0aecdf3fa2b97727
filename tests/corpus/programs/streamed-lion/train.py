# Streaming data (IterableDataset, 2 workers), custom optimizer (Lion), custom autograd.Function (straight-through sign).
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim import Optimizer
from torch.utils.data import DataLoader, IterableDataset, get_worker_info


class SignSTE(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1).to(grad.dtype)


class Lion(Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["m"] = torch.zeros_like(p)
                m = state["m"]
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_((b1 * m + (1 - b1) * p.grad).sign(), alpha=-group["lr"])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)
        return loss


class Stream(IterableDataset):
    """Yields ready batches; each worker has its own seed and its share of the stream."""

    def __init__(self, batches, batch_size, seed):
        self.batches, self.bs, self.seed = batches, batch_size, seed
        self.proj = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))

    def __iter__(self):
        info = get_worker_info()
        wid, nw = (info.id, info.num_workers) if info else (0, 1)
        g = torch.Generator().manual_seed(self.seed + 1000 * wid)
        for _ in range(wid, self.batches, nw):
            x = torch.randn(self.bs, 16, generator=g)
            yield x, (x @ self.proj).argmax(1)


class BinaryNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp, self.bn, self.out = nn.Linear(16, 128), nn.BatchNorm1d(128), nn.Linear(128, 3)

    def forward(self, x):
        return self.out(SignSTE.apply(self.bn(self.inp(x))))


def main():
    torch.manual_seed(9)
    model = BinaryNet()
    opt = Lion(model.parameters(), lr=1e-3, weight_decay=0.01)
    sched = torch.optim.lr_scheduler.CyclicLR(opt, base_lr=2e-4, max_lr=2e-3, step_size_up=100, cycle_momentum=False)
    loader = DataLoader(Stream(800, 64, seed=100), batch_size=None, num_workers=2)
    val_x, val_y = next(iter(Stream(1, 1000, seed=777)))
    for i, (x, y) in enumerate(loader):
        model.train()
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        sched.step()
        if i % 80 == 0 or i == 799:
            model.eval()
            with torch.no_grad():
                acc = (model(val_x).argmax(1) == val_y).float().mean().item()
            print(f"batch {i} loss {loss.item():.4f} lr {sched.get_last_lr()[0]:.5f} val acc {acc:.3f}")


if __name__ == "__main__":
    main()

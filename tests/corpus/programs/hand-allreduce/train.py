# two processes, gradients averaged by hand
import os

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

WORLD, STEPS, BATCH, LR, MAX_NORM = 2, 160, 24, 0.03, 1.0


def rows(n, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 8, generator=g)
    y = torch.sin(1.5 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.3 * torch.randn(n, generator=g)
    return x, y


def average(model):
    for p in model.parameters():
        dist.all_reduce(p.grad)
        p.grad /= WORLD


def run(rank):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(20000 + os.getppid() % 10000))
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    torch.set_num_threads(1)
    torch.manual_seed(100 + rank)
    x, y = rows(140, 1)
    x, y = x[rank::WORLD], y[rank::WORLD]
    vx, vy = rows(1000, 2)
    net = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1), nn.Flatten(0))
    for p in net.parameters():
        dist.broadcast(p.data, 0)
    opt = torch.optim.SGD(net.parameters(), lr=LR, momentum=0.9)
    for step in range(1, STEPS + 1):
        pick = torch.randint(len(x), (BATCH,))
        loss = nn.functional.mse_loss(net(x[pick]), y[pick])
        opt.zero_grad()
        loss.backward()
        average(net)
        nn.utils.clip_grad_norm_(net.parameters(), MAX_NORM)
        opt.step()
        if step % 40 == 0 and rank == 0:
            with torch.no_grad():
                print(f"step {step} loss {loss.item():.4f} val {nn.functional.mse_loss(net(vx), vy).item():.4f}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.start_processes(run, nprocs=WORLD, start_method="fork")

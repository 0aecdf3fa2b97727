import os

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

from ddp.data import loaders
from ddp.model import Classifier


def drift(model):
    """Largest difference between the ranks' parameters."""
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    low, high = flat.clone(), flat.clone()
    dist.all_reduce(low, dist.ReduceOp.MIN)
    dist.all_reduce(high, dist.ReduceOp.MAX)
    return (high - low).max().item()


def worker(rank, args):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(args.port))
    dist.init_process_group("gloo", rank=rank, world_size=args.world)
    torch.set_num_threads(1)
    torch.manual_seed(10 + rank)
    train, sampler, (val_x, val_y) = loaders(rank, args.world, args.batch)
    model = DistributedDataParallel(Classifier())
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9, weight_decay=1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs * len(train))
    for epoch in range(args.epochs):
        sampler.set_epoch(epoch)
        model.train()
        total = torch.zeros(2)
        for x, y in train:
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += torch.tensor([loss.item() * len(y), len(y)])
        dist.all_reduce(total)
        model.eval()
        with torch.no_grad():
            out = model.module(val_x)
        gap = drift(model)
        if rank == 0:
            acc = (out.argmax(1) == val_y).float().mean()
            print(f"epoch {epoch} train {total[0] / total[1]:.4f} val {F.cross_entropy(out, val_y):.4f} acc {acc:.3f} drift {gap:.1e}", flush=True)
    dist.destroy_process_group()

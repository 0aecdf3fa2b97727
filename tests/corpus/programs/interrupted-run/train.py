"""Train in two sittings: the second continues from the checkpoint of the first."""
import argparse
import tempfile
from pathlib import Path

import torch

from sittings.checkpoint import load, save
from sittings.data import Batches, holdout
from sittings.model import Net
from sittings.session import Session


def build(args):
    torch.manual_seed(args.seed)
    model = Net(12, args.width)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr, betas=(0.9, 0.99))
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=args.lr, total_steps=args.steps, pct_start=0.1)
    return model, optimizer, scheduler


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--lr", type=float, default=2e-2)
    p.add_argument("--width", type=int, default=96)
    p.add_argument("--steps", type=int, default=700)
    p.add_argument("--stop", type=int, default=300)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--seed", type=int, default=5)
    args = p.parse_args()
    path = Path(tempfile.mkdtemp()) / "last.pt"

    data = Batches(1600, args.batch, seed=1)
    model, optimizer, scheduler = build(args)
    first = Session(model, optimizer, scheduler, data, holdout())
    first.run(0, args.stop)
    save(path, model, optimizer, scheduler, data, args.stop)
    print(f"saved at step {args.stop}, val {first.validate():.5f}")

    data = Batches(1600, args.batch, seed=1)
    model, optimizer, scheduler = build(args)
    start = load(path, model, optimizer, scheduler, data)
    second = Session(model, optimizer, scheduler, data, holdout())
    print(f"continued at step {start}, val {second.validate():.5f}, lr {scheduler.get_last_lr()[0]:.2e}")
    second.run(start, start + 4)
    print(f"shortly after: val {second.validate():.5f}")
    second.run(start + 4, args.steps)
    print(f"end val {second.validate():.5f}")


if __name__ == "__main__":
    main()

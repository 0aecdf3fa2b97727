"""Contrastive pre-training on two noisy views, judged by a linear probe."""
import argparse
import sys

import torch

from views.augment import two_views
from views.data import signals
from views.loss import info_nce
from views.model import Encoder
from views.probe import probe_accuracy

PRESET = ["--epochs", "10", "--temperature", "0.2", "--normalise", "True", "--freeze-stem", "False"]


def flag(text):
    return text.lower() in ("1", "true", "yes")


def options(argv):
    p = argparse.ArgumentParser()
    p.add_argument("--epochs", type=int, default=5)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--temperature", type=float, default=0.5)
    p.add_argument("--normalise", type=flag, default=True)
    p.add_argument("--freeze-stem", type=flag, default=False)
    p.add_argument("--seed", type=int, default=3)
    return p.parse_args(argv)


def main(argv):
    args = options(argv)
    torch.manual_seed(args.seed)
    x, y = signals(1500, seed=1)
    test = signals(600, seed=2)
    model = Encoder(normalise=args.normalise)
    if args.freeze_stem:
        for p in model.stem.parameters():
            p.requires_grad = False
    opt = torch.optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), lr=args.lr)
    print(f"epoch -1 probe acc {probe_accuracy(model, (x, y), test):.3f}")
    for epoch in range(args.epochs):
        model.train()
        total = 0.0
        for rows in torch.randperm(len(x)).split(args.batch):
            a, b = two_views(x[rows])
            loss = info_nce(model(a), model(b), args.temperature)
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() * len(rows)
        if epoch % 3 == 0 or epoch == args.epochs - 1:
            print(f"epoch {epoch} nce {total / len(x):.4f} probe acc {probe_accuracy(model, (x, y), test):.3f}")


if __name__ == "__main__":
    main(sys.argv[1:] or PRESET)

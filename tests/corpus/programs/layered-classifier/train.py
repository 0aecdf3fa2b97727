"""Command-line training of a configurable classifier on rings."""
import torch

from rings.cli import parse
from rings.data import loaders
from rings.nets import build
from rings.run import Run


def main():
    args = parse()
    torch.manual_seed(args.seed)
    train, val = loaders(args)
    Run(build(args), args).execute(train, val)


if __name__ == "__main__":
    main()

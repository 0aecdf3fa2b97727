import argparse


def parse(argv=None):
    p = argparse.ArgumentParser("rings")
    p.add_argument("--classes", type=int, default=9)
    p.add_argument("--width", type=int, default=64)
    p.add_argument("--depth", type=int, default=5)
    p.add_argument("--lr", type=float, default=0.02)
    p.add_argument("--momentum", type=float, default=0.9)
    p.add_argument("--milestones", type=int, nargs="+", default=[8, 12])
    p.add_argument("--epochs", type=int, default=14)
    p.add_argument("--batch-size", type=int, default=50)
    p.add_argument("--seed", type=int, default=1)
    return p.parse_args(argv)

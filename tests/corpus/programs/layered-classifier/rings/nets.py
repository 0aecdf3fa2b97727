from torch import nn


def build(args):
    layers, size = [], 3
    for _ in range(args.depth):
        layers += [nn.Linear(size, args.width), nn.ReLU()]
        size = args.width
    return nn.Sequential(*layers, nn.Linear(size, args.classes))

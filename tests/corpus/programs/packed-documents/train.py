"""Language model on short documents that are packed into fixed rows."""
import argparse

import torch

from packing.corpus import documents, pack
from packing.model import PackedLM
from packing.loop import Loop

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=180)
parser.add_argument("--lr", type=float, default=3e-3)
parser.add_argument("--row", type=int, default=36)
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--seed", type=int, default=11)

if __name__ == "__main__":
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    train = pack(documents(4000, seed=1), args.row)
    val_docs = documents(400, seed=2)
    loop = Loop(PackedLM(width=48, row=args.row), train, pack(val_docs, args.row), val_docs, args)
    loop.run()

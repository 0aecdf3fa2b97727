"""Data-parallel training on two processes of one machine (gloo)."""
import argparse
import os

import torch.multiprocessing as mp

from ddp.worker import worker

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--world", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--port", type=int, default=20000 + os.getpid() % 10000)
    args = parser.parse_args()
    mp.start_processes(worker, args=(args,), nprocs=args.world, start_method="fork")

"""A recursive solver of a small grid puzzle with adaptive halting per cell."""
import torch

from solver.config import Options
from solver.loop import train
from solver.model import GridSolver

if __name__ == "__main__":
    options = Options()
    torch.manual_seed(options.seed)
    train(GridSolver(options), options)

import torch
import torch.nn.functional as F


def info_nce(a, b, temperature):
    sim = a @ b.t() / temperature
    target = torch.arange(len(a))
    return 0.5 * (F.cross_entropy(sim, target) + F.cross_entropy(sim.t(), target))

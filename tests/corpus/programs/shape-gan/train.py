"""A small GAN on points of two interleaved arcs."""
import torch

from gan.data import arcs
from gan.nets import Critic, Generator
from gan.player import Game

torch.manual_seed(6)
game = Game(Generator(), Critic(), arcs, lr=1e-3)
game.play(steps=900, batch=96, report=150)

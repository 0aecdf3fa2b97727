"""REINFORCE with a value baseline on a small windy grid."""
import torch

from policy.agent import Agent
from policy.grid import WindyGrid
from policy.learner import Learner

if __name__ == "__main__":
    torch.manual_seed(31)
    env = WindyGrid(size=5, copies=48, horizon=14)
    Learner(env, Agent(env.observations, env.actions), lr=5e-3, discount=0.95, entropy=0.01).run(updates=110, report=10)

import torch
from torch import nn


class Agent(nn.Module):
    def __init__(self, n_in, n_actions, width=64):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n_in, width), nn.Tanh())
        self.policy, self.value = nn.Linear(width, n_actions), nn.Linear(width, 1)

    def forward(self, obs):
        h = self.body(obs)
        return torch.distributions.Categorical(logits=self.policy(h)), self.value(h).squeeze(-1)

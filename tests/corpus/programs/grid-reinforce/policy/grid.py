import torch
import torch.nn.functional as F

MOVES = torch.tensor([[0, 1], [0, -1], [1, 0], [-1, 0]])


class WindyGrid:
    """Reach the corner; now and then the wind pushes to the left."""

    def __init__(self, size, copies, horizon):
        self.size, self.copies, self.horizon = size, copies, horizon
        self.observations, self.actions = 2 * size, 4

    def reset(self):
        self.at = torch.randint(0, self.size - 1, (self.copies, 2))
        self.done = torch.zeros(self.copies, dtype=torch.bool)
        return self.look()

    def look(self):
        return F.one_hot(self.at, self.size).flatten(1).float()

    def step(self, action):
        moved = (self.at + MOVES[action]).clamp(0, self.size - 1)
        wind = (torch.rand(self.copies) < 0.15).long()
        moved[:, 1] = (moved[:, 1] - wind).clamp(min=0)
        self.at = torch.where(self.done[:, None], self.at, moved)
        reached = (self.at == self.size - 1).all(1) & ~self.done
        alive = (~self.done).float()
        self.done = self.done | reached
        return self.look(), reached.float() - 0.02 * alive, alive

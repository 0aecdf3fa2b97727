import torch


def table(n, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 12, generator=g)
    y = torch.sin(2 * x[:, 0]) * x[:, 1] + 0.5 * x[:, 2] * x[:, 3] + torch.tanh(x[:, 4:8].sum(1))
    return x, y + 0.05 * torch.randn(n, generator=g)


def holdout():
    return table(600, seed=99)


class Batches:
    """Endless shuffled batches whose position can be saved."""

    def __init__(self, n, size, seed):
        self.x, self.y = table(n, seed)
        self.size = size
        self.generator = torch.Generator().manual_seed(seed)
        self.order, self.at = torch.randperm(n, generator=self.generator), 0

    def next(self):
        if self.at + self.size > len(self.order):
            self.order, self.at = torch.randperm(len(self.x), generator=self.generator), 0
        rows = self.order[self.at : self.at + self.size]
        self.at += self.size
        return self.x[rows], self.y[rows]

    def state_dict(self):
        return {"order": self.order, "at": self.at, "generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.order, self.at = state["order"], state["at"]
        self.generator.set_state(state["generator"])

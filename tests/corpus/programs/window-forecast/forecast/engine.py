import copy

import torch
from torch.nn.functional import l1_loss, mse_loss


class Engine:
    def __init__(self, model, loaders, scaler, s):
        self.model, self.loaders, self.scaler, self.s = model, loaders, scaler, s
        self.optimizer = torch.optim.SGD(model.parameters(), lr=s.lr, momentum=s.momentum)
        self.best, self.best_epoch = float("inf"), -1
        self.weights = copy.deepcopy(model.state_dict())

    def train_epoch(self):
        self.model.train()
        total = n = 0
        for x, y in self.loaders["train"]:
            self.optimizer.zero_grad()
            loss = mse_loss(self.model(x), y)
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(x)
            n += len(x)
        return total / n

    @torch.no_grad()
    def evaluate(self, name, metric):
        self.model.eval()
        total = n = 0
        for x, y in self.loaders[name]:
            total += metric(self.model(x), y).item() * len(x)
            n += len(x)
        return total / n

    def fit(self):
        for epoch in range(self.s.epochs):
            train, val = self.train_epoch(), self.evaluate("val", mse_loss)
            if val < self.best:
                self.best, self.best_epoch, self.weights = val, epoch, copy.deepcopy(self.model.state_dict())
            print(f"epoch {epoch} train mse {train:.4f} val mse {val:.4f} test mae {self.evaluate('test', l1_loss):.4f}")

    def test(self):
        self.model.load_state_dict(self.weights)
        return self.evaluate("test", l1_loss)

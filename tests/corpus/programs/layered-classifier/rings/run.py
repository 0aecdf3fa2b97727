import torch
from torch import nn, optim


class Run:
    def __init__(self, model, args):
        self.model, self.args = model, args
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = optim.SGD(model.parameters(), lr=args.lr, momentum=args.momentum)
        self.scheduler = optim.lr_scheduler.MultiStepLR(self.optimizer, args.milestones, gamma=0.2)

    def epoch(self, loader):
        self.model.train()
        total = 0.0
        for x, y in loader:
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(x), y)
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(y)
        return total / len(loader.dataset)

    @torch.no_grad()
    def accuracy(self, loader):
        self.model.eval()
        return sum((self.model(x).argmax(1) == y).sum().item() for x, y in loader) / len(loader.dataset)

    def execute(self, train, val):
        for e in range(self.args.epochs):
            loss = self.epoch(train)
            lr = self.optimizer.param_groups[0]["lr"]
            print(f"epoch {e} lr {lr:.4f} loss {loss:.4f} val acc {self.accuracy(val):.3f}")
            self.scheduler.step()

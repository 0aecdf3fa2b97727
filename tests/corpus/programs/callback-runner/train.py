"""Tiny training framework: Runner + callbacks."""
import torch
from torch import nn


class Callback:
    def before_fit(self, r): ...
    def after_step(self, r): ...
    def after_epoch(self, r): ...


class Smooth(Callback):
    def before_fit(self, r):
        r.avg = None

    def after_step(self, r):
        v = r.loss.item()
        r.avg = v if r.avg is None else 0.95 * r.avg + 0.05 * v


class PeriodicEval(Callback):
    def __init__(self, every, x, y):
        self.every, self.x, self.y = every, x, y

    def after_step(self, r):
        if r.step % self.every:
            return
        r.net.eval()
        with torch.no_grad():
            out = r.net(self.x)
            r.history.append((r.step, r.crit(out, self.y).item(), (out.argmax(1) == self.y).float().mean().item()))
        r.net.train()
        print("step {:4d} train {:.3f} val {:.3f} acc {:.3f}".format(r.step, r.avg, *r.history[-1][1:]))


class Runner:
    def __init__(self, net, crit, opt, callbacks):
        self.net, self.crit, self.opt, self.callbacks = net, crit, opt, callbacks
        self.step, self.history = 0, []

    def emit(self, name):
        for cb in self.callbacks:
            getattr(cb, name)(self)

    def fit(self, x, y, epochs, bs):
        self.net.train()
        self.emit("before_fit")
        for self.epoch in range(epochs):
            for idx in torch.randperm(len(x)).split(bs):
                self.opt.zero_grad()
                self.loss = self.crit(self.net(x[idx]), y[idx])
                self.loss.backward()
                self.opt.step()
                self.step += 1
                self.emit("after_step")
            self.emit("after_epoch")


def make(n, g):
    y = torch.randint(0, 6, (n,), generator=g)
    mu = torch.randn(6, 50, generator=torch.Generator().manual_seed(0)) * 0.3
    return mu[y] + torch.randn(n, 50, generator=g), y


if __name__ == "__main__":
    torch.manual_seed(6)
    g = torch.Generator().manual_seed(6)
    xt, yt = make(400, g)
    xv, yv = make(1000, g)
    net = nn.Sequential(nn.Linear(50, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.5),
                        nn.Linear(256, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, 6))
    opt = torch.optim.Adam(net.parameters(), lr=1e-3)
    Runner(net, nn.CrossEntropyLoss(), opt, [Smooth(), PeriodicEval(50, xv, yv)]).fit(xt, yt, epochs=40, bs=40)

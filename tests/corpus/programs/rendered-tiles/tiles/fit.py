import torch
import torch.nn.functional as F


class Fit:
    def __init__(self, net, train, val, lr):
        self.net, self.train, self.val = net, train, val
        self.optimizer = torch.optim.Adam(net.parameters(), lr=lr)

    def epoch(self):
        self.net.train()
        total = n = 0
        for x, y in self.train:
            loss = F.cross_entropy(self.net(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(y)
            n += len(y)
        return total / n

    @torch.no_grad()
    def validate(self):
        self.net.eval()
        out = self.net(self.val[0])
        return F.cross_entropy(out, self.val[1]).item(), (out.argmax(1) == self.val[1]).float().mean().item()

    def run(self, epochs):
        for e in range(epochs):
            train = self.epoch()
            loss, acc = self.validate()
            print(f"epoch {e} train {train:.4f} val loss {loss:.4f} val acc {acc:.3f}")

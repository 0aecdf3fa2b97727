import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


def survey(n, gen):
    """respondents' answers (12 numbers) -> distribution of the ten votes of their household"""
    w = torch.randn(12, 6, generator=torch.Generator().manual_seed(2))
    x = torch.randn(n, 12, generator=gen)
    p = (0.7 * x @ w).softmax(1)
    votes = torch.multinomial(p, 10, replacement=True, generator=gen)
    hist = F.one_hot(votes, 6).sum(1).float()
    return x, hist / hist.sum(1, keepdim=True)


class VoteNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(12, 48)
        self.b = nn.Linear(48, 6)

    def forward(self, x):
        return F.log_softmax(self.b(torch.relu(self.a(x))), dim=1)


def kl(log_pred, target):
    return (torch.xlogy(target, target) - target * log_pred).sum(1).mean()


class Trainer:
    def __init__(self, epochs=15, lr=2e-3):
        gen = torch.Generator().manual_seed(80)
        self.train_dl = DataLoader(TensorDataset(*survey(2000, gen)), batch_size=50, shuffle=True)
        self.test_x, self.test_y = survey(400, gen)
        self.model = VoteNet()
        self.opt = torch.optim.Adam(self.model.parameters(), lr=lr)
        self.epochs = epochs

    def run(self):
        for epoch in range(self.epochs):
            self.model.train()
            s = 0.0
            for x, target in self.train_dl:
                loss = kl(self.model(x), target)
                self.opt.zero_grad()
                loss.backward()
                self.opt.step()
                s += loss.item()
            self.model.eval()
            with torch.no_grad():
                log_pred = self.model(self.test_x)
                score = kl(log_pred, self.test_y).item()
                top = (log_pred.argmax(1) == self.test_y.argmax(1)).float().mean().item()
            print(f"epoch {epoch + 1}/{self.epochs} loss {s / len(self.train_dl):.4f} test KL {score:.4f} top-vote {top:.3f}")


if __name__ == "__main__":
    torch.manual_seed(80)
    Trainer().run()

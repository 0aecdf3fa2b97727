import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(205)


class Trainer:
    def __init__(self, net, train_dl, val_dl, lr):
        self.net, self.train_dl, self.val_dl = net, train_dl, val_dl
        self.loss = nn.CrossEntropyLoss()
        self.opt = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=1e-3)

    def _pass(self, dl, training):
        self.net.train(training)
        total, right, n = 0.0, 0, 0
        with torch.set_grad_enabled(training):
            for x, y in dl:
                out = self.net(x)
                loss = self.loss(out, y)
                if training:
                    self.opt.zero_grad()
                    loss.backward()
                    self.opt.step()
                total += loss.item() * len(y)
                right += (out.argmax(1) == y).sum().item()
                n += len(y)
        return total / n, right / n

    def fit(self, epochs):
        for e in range(epochs):
            tl, ta = self._pass(self.train_dl, True)
            vl, va = self._pass(self.val_dl, False)
            print(f"epoch {e + 1:02d}: train {tl:.4f} ({ta:.1%})  val {vl:.4f} ({va:.1%})")


def wine(n, protos):
    """11 lab values, 5 regions with two styles each"""
    k = torch.randint(0, len(protos), (n,))
    x = protos[k] + 0.75 * torch.randn(n, protos.shape[1])
    return TensorDataset(x, k % 5)


protos = torch.randn(10, 11) * 1.3
net = nn.Sequential(
    nn.Dropout(0.2),
    nn.Linear(11, 128), nn.ReLU(), nn.Dropout(0.6),
    nn.Linear(128, 128), nn.ReLU(), nn.Dropout(0.6),
    nn.Linear(128, 5),
)
Trainer(
    net,
    DataLoader(wine(3000, protos), batch_size=64, shuffle=True),
    DataLoader(wine(800, protos), batch_size=400),
    lr=2e-3,
).fit(15)

"""Depth study on a synthetic control problem: map sensor vectors to one of 6 actions."""
import torch
from torch import nn
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader, TensorDataset

EXPERIMENT = {
    "depth": 4,
    "width": 48,
    "nonlinearity": "ReLU",
    "optimizer": {"cls": torch.optim.SGD, "kwargs": {"lr": 0.1, "momentum": 0.9}},
    "epochs": 10,
}


def build(spec, n_in, n_out):
    act = getattr(nn, spec["nonlinearity"])
    dims = [n_in] + [spec["width"]] * spec["depth"]
    layers = []
    for a, b in zip(dims, dims[1:]):
        layers += [nn.Linear(a, b), act()]
    return nn.Sequential(*layers, nn.Linear(spec["width"], n_out))


def policies(n):
    x = torch.randn(n, 10)
    w = torch.randn(10, 6, generator=torch.Generator().manual_seed(5))
    return TensorDataset(x, (x @ w + 0.2 * torch.randn(n, 6)).argmax(1))


set_seed(15)
acc = Accelerator(cpu=True)
train_dl, val_dl = DataLoader(policies(2400), batch_size=48, shuffle=True), DataLoader(policies(480), batch_size=240)
net = build(EXPERIMENT, 10, 6)
opt = EXPERIMENT["optimizer"]["cls"](net.parameters(), **EXPERIMENT["optimizer"]["kwargs"])
net, opt, train_dl, val_dl = acc.prepare(net, opt, train_dl, val_dl)
ce = nn.CrossEntropyLoss()
for epoch in range(EXPERIMENT["epochs"]):
    net.train()
    track = []
    for x, y in train_dl:
        with acc.accumulate(net):
            opt.zero_grad()
            loss = ce(net(x), y)
            acc.backward(loss)
            opt.step()
        track.append(loss.item())
    net.eval()
    good = seen = 0
    with torch.no_grad():
        for x, y in val_dl:
            good += (net(x).argmax(1) == y).sum().item()
            seen += len(y)
    acc.print(f"epoch {epoch} loss {sum(track) / len(track):.4f} val acc {good / seen:.3f}")

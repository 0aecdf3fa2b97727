"""Stage one on many easy images, stage two goes on from its checkpoint with harder ones."""
import os
import tempfile

import torch
import torch.nn as nn
import torch.nn.functional as F

STAGE_STEPS, BATCH, LR = 130, 32, 0.03
CHECKPOINT = os.path.join(tempfile.mkdtemp(), "stage1.pt")
torch.manual_seed(27)
g = torch.Generator().manual_seed(27)
shapes = torch.randn(6, 1, 10, 10, generator=g)


def images(n, noise):
    y = torch.randint(6, (n,), generator=g)
    return shapes[y] + noise * torch.randn(n, 1, 10, 10, generator=g), y


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        )
        self.classify = nn.Linear(32 * 25, 6)

    def forward(self, x):
        return self.classify(self.features(x).flatten(1))


def make():
    net = Net()
    opt = torch.optim.SGD(net.parameters(), lr=LR, momentum=0.9, weight_decay=1e-4)
    sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: min(1.0, (s + 1) / 40) * 0.985 ** s)
    return net, opt, sched


def run(net, opt, sched, data, steps, name):
    net.train()
    for step in range(steps):
        pick = torch.randint(len(data[1]), (BATCH,))
        loss = F.cross_entropy(net(data[0][pick]), data[1][pick])
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        if step % 30 == 0:
            print(f"{name} step {step} lr {opt.param_groups[0]['lr']:.5f} loss {loss.item():.4f}")


def validate(net, data):
    net.eval()
    with torch.no_grad():
        return F.cross_entropy(net(data[0]), data[1]).item()


easy, hard, val = images(900, 1.2), images(120, 2.0), images(800, 2.0)
net, opt, sched = make()
run(net, opt, sched, easy, STAGE_STEPS, "stage one")
print(f"stage one val loss {validate(net, val):.4f}")
torch.save({"net": net.state_dict(), "opt": opt.state_dict(), "sched": sched.state_dict()}, CHECKPOINT)

net, opt, sched = make()
saved = torch.load(CHECKPOINT, weights_only=True)
net.load_state_dict(saved["net"])
opt.load_state_dict(saved["opt"])
sched.load_state_dict(saved["sched"])
run(net, opt, sched, hard, 60, "stage two")
print(f"final val loss {validate(net, val):.4f}")

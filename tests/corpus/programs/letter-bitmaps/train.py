# letter-shape recogniser on 9x9 bitmaps
import random

import numpy as np
import torch
from torch import nn

random.seed(0); np.random.seed(0); torch.manual_seed(0)

glyphs = (np.random.rand(26, 9, 9) > 0.55).astype("float32")


def sample(n):
    y = np.random.randint(0, 26, n)
    x = glyphs[y]
    flip = np.random.rand(n, 9, 9) < 0.14
    x = np.where(flip, 1 - x, x)
    return torch.from_numpy(x.astype("float32")).unsqueeze(1) - 0.45, torch.from_numpy(y)


class Base(nn.Module):
    def features(self, x):
        raise NotImplementedError

    def forward(self, x):
        return self.classify(self.features(x))


class ConvBase(Base):
    def __init__(self, ch):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, ch, 3), nn.Conv2d(ch, ch * 2, 3)

    def features(self, x):
        x = torch.relu(self.c1(x))
        return torch.relu(self.c2(x)).flatten(1)


class LetterNet(ConvBase):
    def __init__(self, ch=12, letters=26):
        super().__init__(ch)
        self.fc = nn.Linear(ch * 2 * 25, letters)

    def classify(self, h):
        return torch.log_softmax(self.fc(h), dim=1)


model = LetterNet()
nll = nn.NLLLoss()
opt = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
x_train, y_train = sample(2600)
x_test, y_test = sample(520)

for epoch in range(1, 13):
    perm = torch.randperm(2600)
    ep = []
    for i in range(0, 2600, 65):
        b = perm[i:i + 65]
        loss = nll(model(x_train[b]), y_train[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
        ep.append(loss.item())
    with torch.no_grad():
        out = model(x_test)
        print(f"{epoch:>3} train={np.mean(ep):+.4f} test={nll(out, y_test):+.4f} acc={(out.argmax(1) == y_test).float().mean():.3f}")

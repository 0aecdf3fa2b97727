from __future__ import print_function

import argparse
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 12, 3)
        self.conv2 = nn.Conv2d(12, 24, 3)
        self.fc1 = nn.Linear(24 * 4, 48)
        self.fc2 = nn.Linear(48, 5)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        return F.log_softmax(self.fc2(x), dim=1)


def blobs(n, g, size=14):
    """count the bright spots (0-4) in an image"""
    y = torch.multinomial(torch.tensor([0.36, 0.24, 0.18, 0.12, 0.10]), n, replacement=True, generator=g)
    img = 0.25 * torch.randn(n, 1, size, size, generator=g)
    for i in range(n):
        cells = torch.randperm(9, generator=g)[: int(y[i])]
        for c in cells.tolist():
            r, q = 1 + 4 * (c // 3), 1 + 4 * (c % 3)
            img[i, 0, r:r + 3, q:q + 3] += 1.0
    return img - img.mean(), y


def train(model, x, y, optimizer, criterion, batch_size, epoch):
    model.train()
    running = 0.0
    perm = torch.randperm(len(x))
    for k in range(0, len(x), batch_size):
        idx = perm[k:k + batch_size]
        optimizer.zero_grad()
        loss = criterion(model(x[idx]), y[idx])
        loss.backward()
        optimizer.step()
        running += loss.item() * len(idx)
    print("Train Epoch: {} avg_loss: {:.4f}".format(epoch, running / len(x)))


def test(model, x, y, criterion):
    model.eval()
    with torch.no_grad():
        out = model(x)
        print("    test_loss: {:.4f} test_acc: {:.4f}".format(criterion(out, y).item(), (out.argmax(1) == y).float().mean().item()))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--epochs", type=int, default=10)
    p.add_argument("--batch-size", type=int, default=50)
    p.add_argument("--lr", type=float, default=0.02)
    a = p.parse_args()
    torch.manual_seed(1)
    g = torch.Generator().manual_seed(1)
    x, y = blobs(2000, g)
    xt, yt = blobs(500, g)
    model = Net()
    criterion = nn.NLLLoss()
    optimizer = optim.SGD(model.parameters(), lr=a.lr, momentum=0.9)
    for epoch in range(1, a.epochs + 1):
        train(model, x, y, optimizer, criterion, a.batch_size, epoch)
        test(model, xt, yt, criterion)


if __name__ == "__main__":
    main()

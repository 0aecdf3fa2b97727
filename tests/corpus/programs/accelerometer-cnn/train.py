import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


def parse_args():
    p = argparse.ArgumentParser("accelerometer activity recognition")
    p.add_argument("--num-epochs", type=int, default=8)
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--learning-rate", type=float, default=5e-2)
    p.add_argument("--momentum", type=float, default=0.9)
    p.add_argument("--seed", type=int, default=23)
    return p.parse_args()


def activities(n, gen, length=60):
    y = torch.randint(0, 5, (n,), generator=gen)
    t = torch.arange(length) / 20.0
    step_rate = torch.tensor([0.2, 0.9, 1.6, 2.4, 3.4])[y]
    amp = torch.tensor([0.4, 1.0, 1.0, 1.2, 1.4])[y] * (0.8 + 0.4 * torch.rand(n, generator=gen))
    ph = torch.rand(n, 1, generator=gen) * 6.28
    base = amp[:, None] * torch.sin(6.28 * step_rate[:, None] * t + ph)
    x = torch.stack([base, base.roll(5, 1), 0.5 * base.abs()], 1) + 0.4 * torch.randn(n, 3, length, generator=gen)
    return x, y


class HARNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv1d(3, 16, 7, stride=2, padding=3)
        self.c2 = nn.Conv1d(16, 32, 5, stride=2, padding=2)
        self.bn1, self.bn2 = nn.BatchNorm1d(16), nn.BatchNorm1d(32)
        self.fc = nn.Linear(32, 5)

    def forward(self, x):
        x = F.relu(self.bn1(self.c1(x)))
        x = F.relu(self.bn2(self.c2(x)))
        return self.fc(x.mean(-1))


def main():
    args = parse_args()
    torch.manual_seed(args.seed)
    gen = torch.Generator().manual_seed(args.seed)
    train_loader = DataLoader(TensorDataset(*activities(1600, gen)), batch_size=args.batch_size, shuffle=True)
    x_eval, y_eval = activities(400, gen)
    model = HARNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=args.learning_rate, momentum=args.momentum)
    for epoch in range(args.num_epochs):
        model.train()
        for step, (x, y) in enumerate(train_loader):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % 25 == 0:
                print(f"epoch {epoch} step {step:3d} loss {loss.item():.4f}")
        model.eval()
        with torch.no_grad():
            out = model(x_eval)
        print(f"epoch {epoch} eval_loss={F.cross_entropy(out, y_eval):.4f} eval_acc={(out.argmax(1) == y_eval).float().mean():.4f}")


if __name__ == "__main__":
    main()

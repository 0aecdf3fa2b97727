import argparse
import torch
import torch.nn as nn
from torch.optim.lr_scheduler import ExponentialLR
from torch.utils.data import DataLoader, TensorDataset


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("--epochs", type=int, default=12)
    p.add_argument("--lr", type=float, default=1e-2)
    p.add_argument("--gamma", type=float, default=0.9, help="decay of the lr each epoch")
    p.add_argument("--batch-size", type=int, default=64)
    p.add_argument("--seed", type=int, default=0)
    return p.parse_args()


def spirals(n, classes=3):
    y = torch.randint(0, classes, (n,))
    r = torch.rand(n)
    theta = r * 4.5 + y * (2 * torch.pi / classes) + torch.randn(n) * 0.12
    return torch.stack([r * theta.cos(), r * theta.sin()], 1) * 2, y


def main():
    args = parse()
    torch.manual_seed(args.seed)
    train_loader = DataLoader(TensorDataset(*spirals(6000)), args.batch_size, shuffle=True)
    val_x, val_y = spirals(1500)

    model = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(),
                          nn.Linear(64, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
    scheduler = ExponentialLR(optimizer, gamma=args.gamma)
    criterion = nn.CrossEntropyLoss()

    for epoch in range(args.epochs):
        model.train()
        total, n = 0.0, 0
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
            n += len(y)
        scheduler.step()
        model.eval()
        with torch.no_grad():
            logits = model(val_x)
            val_loss = criterion(logits, val_y).item()
            acc = (logits.argmax(1) == val_y).float().mean().item()
        print(f"epoch {epoch + 1}/{args.epochs} train {total / n:.4f} val {val_loss:.4f} acc {acc:.3f}")


if __name__ == "__main__":
    main()

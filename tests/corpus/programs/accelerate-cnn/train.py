import argparse

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def get_images(n, seed):
    """8x8 images with a bar: vertical / horizontal / diagonal / anti-diagonal."""
    g = torch.Generator().manual_seed(seed)
    imgs = 0.5 * torch.randn(n, 1, 12, 12, generator=g)
    labels = torch.randint(0, 4, (n,), generator=g)
    pos = torch.randint(2, 10, (n,), generator=g)
    for i in range(n):
        k, p = int(labels[i]), int(pos[i])
        if k == 0:
            imgs[i, 0, :, p] += 1.5
        elif k == 1:
            imgs[i, 0, p, :] += 1.5
        else:
            d = torch.arange(12)
            e = (d + p) % 12
            imgs[i, 0, d, e if k == 2 else 11 - e] += 1.5
    return TensorDataset(imgs, labels)


def parse_args():
    p = argparse.ArgumentParser()
    p.add_argument("--epochs", type=int, default=6)
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--accum", type=int, default=2)
    p.add_argument("--lr", type=float, default=0.05)
    p.add_argument("--seed", type=int, default=3)
    return p.parse_args()


def main():
    args = parse_args()
    set_seed(args.seed)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=args.accum)
    train_dl = DataLoader(get_images(1536, 0), batch_size=args.batch_size, shuffle=True)
    test_dl = DataLoader(get_images(400, 1), batch_size=100)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(32, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs)
    model, optimizer, train_dl, test_dl = accelerator.prepare(model, optimizer, train_dl, test_dl)

    for epoch in range(args.epochs):
        model.train()
        total = 0.0
        for x, y in train_dl:
            with accelerator.accumulate(model):
                loss = F.cross_entropy(model(x), y)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 5.0)
                optimizer.step()
                optimizer.zero_grad()
            total += loss.item()
        scheduler.step()
        model.eval()
        right = seen = 0
        with torch.no_grad():
            for x, y in test_dl:
                pred, ref = accelerator.gather_for_metrics((model(x).argmax(1), y))
                right += (pred == ref).sum().item()
                seen += len(ref)
        accelerator.print(f"epoch {epoch}: train loss {total / len(train_dl):.4f}  test acc {right / seen:.3f}")


main()

"""Knowledge distillation. Teacher trained first with label smoothing, student learns from both."""
import argparse
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


def data(n, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 2, generator=g) * 4 - 2
    cell = (torch.floor(x[:, 0] + 2).long() + 2 * torch.floor(x[:, 1] + 2).long()) % 5
    return TensorDataset(x + 0.03 * torch.randn(n, 2, generator=g), cell)


def mlp(width, depth):
    layers, d = [], 2
    for _ in range(depth):
        layers += [nn.Linear(d, width), nn.ReLU()]
        d = width
    return nn.Sequential(*layers, nn.Linear(d, 5))


def accuracy(model, ds):
    model.eval()
    with torch.no_grad():
        x, y = ds.tensors
        return (model(x).argmax(1) == y).float().mean().item()


def train_teacher(model, loader, test, epochs):
    opt = torch.optim.Adam(model.parameters(), lr=4e-3)
    crit = nn.CrossEntropyLoss(label_smoothing=0.1)
    for ep in range(epochs):
        model.train()
        tot = 0.0
        for x, y in loader:
            loss = crit(model(x), y)
            opt.zero_grad(); loss.backward(); opt.step()
            tot += loss.item()
        print(f"teacher {ep}: loss {tot / len(loader):.4f} test acc {accuracy(model, test):.3f}")


def distill(teacher, student, loader, test, epochs, T, alpha):
    teacher.eval()
    for p in teacher.parameters():
        p.requires_grad = False
    opt = torch.optim.Adam(student.parameters(), lr=4e-3)
    for ep in range(epochs):
        student.train()
        tot = 0.0
        for x, y in loader:
            with torch.no_grad():
                soft = F.log_softmax(teacher(x) / T, dim=1)
            logits = student(x)
            kd = F.kl_div(F.log_softmax(logits / T, dim=1), soft, reduction="batchmean", log_target=True) * T * T
            loss = alpha * kd + (1 - alpha) * F.cross_entropy(logits, y)
            opt.zero_grad(); loss.backward(); opt.step()
            tot += loss.item()
        print(f"student {ep}: loss {tot / len(loader):.4f} test acc {accuracy(student, test):.3f}")


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--epochs", type=int, default=15)
    ap.add_argument("--temperature", type=float, default=3.0)
    ap.add_argument("--alpha", type=float, default=0.7)
    a = ap.parse_args()
    torch.manual_seed(0)
    train, test = data(3000, 1), data(600, 2)
    loader = DataLoader(train, batch_size=64, shuffle=True)
    teacher, student = mlp(128, 3), mlp(32, 2)
    train_teacher(teacher, loader, test, a.epochs)
    distill(teacher, student, loader, test, a.epochs, a.temperature, a.alpha)

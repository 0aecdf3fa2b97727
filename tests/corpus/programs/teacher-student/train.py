"""Teacher -> student on a synthetic document-topic problem."""
import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


def documents(n, gen, vocab=100, topics=9, words=25):
    table = (1.3 * torch.randn(topics, vocab, generator=torch.Generator().manual_seed(1))).softmax(1)
    y = torch.randint(0, topics, (n,), generator=gen)
    other = torch.randint(0, topics, (n,), generator=gen)
    p = 0.7 * table[y] + 0.3 * table[other]
    ids = torch.multinomial(p, words, replacement=True, generator=gen)
    bow = F.one_hot(ids, vocab).sum(1).float()
    return bow.sqrt() - 0.35, y


def mlp(width, n_in=100, n_out=9):
    return nn.Sequential(nn.Linear(n_in, width), nn.ReLU(), nn.Linear(width, n_out))


def accuracy(net, x, y):
    net.eval()
    with torch.no_grad():
        return (net(x).argmax(1) == y).float().mean().item()


def distill_loss(student_logits, teacher_logits, y, T, alpha):
    soft_target = F.softmax(teacher_logits / T, dim=1)
    soft = F.kl_div(F.log_softmax(student_logits / T, dim=1), soft_target, reduction="batchmean") * T * T
    hard = F.cross_entropy(student_logits, y)
    return alpha * soft + (1 - alpha) * hard


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--temperature", type=float, default=3.0)
    ap.add_argument("--alpha", type=float, default=0.7)
    args = ap.parse_args()
    torch.manual_seed(210)
    gen = torch.Generator().manual_seed(210)
    x, y = documents(4000, gen)
    xv, yv = documents(800, gen)

    teacher = mlp(256)
    opt = torch.optim.Adam(teacher.parameters(), lr=1e-3, weight_decay=1e-4)
    for epoch in range(5):
        teacher.train()
        for idx in torch.randperm(len(x)).split(64):
            loss = F.cross_entropy(teacher(x[idx]), y[idx])
            opt.zero_grad()
            loss.backward()
            opt.step()
        print(f"teacher {epoch} acc {accuracy(teacher, xv, yv):.3f}")

    teacher.eval()
    for p in teacher.parameters():
        p.requires_grad_(False)
    student = mlp(12)
    opt = torch.optim.Adam(student.parameters(), lr=3e-3)
    for epoch in range(12):
        student.train()
        total = 0.0
        for idx in torch.randperm(len(x)).split(64):
            with torch.no_grad():
                guide = teacher(x[idx])
            loss = distill_loss(student(x[idx]), guide, y[idx], args.temperature, args.alpha)
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() * len(idx)
        print(f"student {epoch:2d} loss {total / len(x):.4f} student acc {accuracy(student, xv, yv):.3f}")


if __name__ == "__main__":
    main()

"""Review polarity with negation, tiny LSTM."""
import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--bs", type=int, default=64)
parser.add_argument("--lr", type=float, default=4e-3)
parser.add_argument("--seed", type=int, default=2)
args = parser.parse_args()
torch.manual_seed(args.seed)

VOCAB, LEN = 60, 14
NEG = 1            # the word "not"
GOOD = range(2, 12)
BAD = range(12, 22)


def reviews(n):
    x = torch.randint(22, VOCAB, (n, LEN))
    label = torch.zeros(n, dtype=torch.long)
    for i in range(n):
        score = 0
        for pos in torch.randperm(LEN // 2)[:3].tolist():
            kind = int(torch.randint(0, 2, (1,)))
            pool = GOOD if kind else BAD
            x[i, 2 * pos + 1] = pool[int(torch.randint(0, 10, (1,)))]
            s = 1 if kind else -1
            if torch.rand(1) < 0.5:
                x[i, 2 * pos] = NEG
                s = -s
            score += s
        label[i] = int(score > 0)
    return x, label


x_train, y_train = reviews(2500)
x_val, y_val = reviews(500)

embed = nn.Embedding(VOCAB, 16)
encoder = nn.LSTM(16, 32, batch_first=True, bidirectional=True)
head = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 2))
params = list(embed.parameters()) + list(encoder.parameters()) + list(head.parameters())
opt = torch.optim.Adam(params, lr=args.lr)


def forward(tokens):
    states, _ = encoder(embed(tokens))
    return head(states.mean(1))


for epoch in range(args.epochs):
    order = torch.randperm(len(x_train))
    loss_sum = 0.0
    for i in range(0, len(order), args.bs):
        b = order[i:i + args.bs]
        loss = F.cross_entropy(forward(x_train[b]), y_train[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
        loss_sum += loss.item() * len(b)
    with torch.no_grad():
        out = forward(x_val)
    acc = (out.argmax(1) == y_val).float().mean().item()
    print(f"epoch {epoch:02d}: train loss {loss_sum / len(order):.4f}, val loss {F.cross_entropy(out, y_val):.4f}, val acc: {acc:.3f}")

#!/usr/bin/env python
"""train a recurrent char model on log lines

python train.py [--hidden 96] [--iters 400]
"""
import argparse
import random
import time

import torch
import torch.nn as nn


def log_line(r):
    svc = r.choice(["auth", "cart", "mail", "cron"])
    code = {"auth": "401", "cart": "200", "mail": "250", "cron": "000"}[svc]
    n = r.randint(10, 999)
    return f"{svc}-{n} [{code}] retry={n}\n"


class CharRNN(nn.Module):
    def __init__(self, n_chars, hidden, layers=1):
        super().__init__()
        self.encoder = nn.Embedding(n_chars, hidden)
        self.rnn = nn.LSTM(hidden, hidden, layers, batch_first=True)
        self.decoder = nn.Linear(hidden, n_chars)

    def forward(self, x):
        # x: (batch, time)
        out, _ = self.rnn(self.encoder(x))
        return self.decoder(out)


def random_chunk(data, size, n, rng):
    xs, ys = [], []
    for _ in range(n):
        s = rng.randrange(len(data) - size - 1)
        xs.append(data[s:s + size])
        ys.append(data[s + 1:s + size + 1])
    return torch.stack(xs), torch.stack(ys)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--hidden", type=int, default=96)
    parser.add_argument("--iters", type=int, default=400)
    parser.add_argument("--chunk", type=int, default=36)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--lr", type=float, default=5e-3)
    opt = parser.parse_args()
    torch.manual_seed(8)
    rng = random.Random(8)

    text = "".join(log_line(rng) for _ in range(3000))
    chars = sorted(set(text))
    to_i = {c: i for i, c in enumerate(chars)}
    data = torch.tensor([to_i[c] for c in text])
    split = int(0.95 * len(data))

    model = CharRNN(len(chars), opt.hidden)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=opt.lr)
    t0, avg = time.time(), 0.0
    for it in range(1, opt.iters + 1):
        x, y = random_chunk(data[:split], opt.chunk, opt.batch, rng)
        out = model(x)
        loss = criterion(out.reshape(-1, len(chars)), y.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 0.5)
        optimizer.step()
        avg += loss.item() / 80
        if it % 80 == 0:
            with torch.no_grad():
                vx, vy = random_chunk(data[split:], opt.chunk, 60, rng)
                v = criterion(model(vx).reshape(-1, len(chars)), vy.reshape(-1)).item()
            print(f"[{time.time() - t0:4.1f}s {it}/{opt.iters}] loss {avg:.4f} valid {v:.4f}")
            avg = 0.0

    # let it write a few lines
    model.eval()
    ids = [to_i[c] for c in log_line(rng)]
    with torch.no_grad():
        for _ in range(60):
            p = model(torch.tensor([ids]))[0, -1].softmax(-1)
            ids.append(torch.multinomial(p, 1).item())
    print("".join(chars[i] for i in ids))

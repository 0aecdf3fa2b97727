"""Decoder-only transformer on "a-b-c" interleaving puzzles, micro-batches of 8 because the GPU at home is small."""
import argparse
import random

import torch
import torch.nn as nn
import torch.nn.functional as F


def get_args():
    p = argparse.ArgumentParser()
    p.add_argument("--micro_batch_size", type=int, default=8)
    p.add_argument("--accumulate", type=int, default=8)
    p.add_argument("--updates", type=int, default=90)
    p.add_argument("--lr", type=float, default=0.09)
    p.add_argument("--momentum", type=float, default=0.9)
    p.add_argument("--seed", type=int, default=42)
    return p.parse_args()


def puzzle_rows(n, seed):
    r = random.Random(seed)
    rows = []
    for _ in range(n):
        a, b = [[r.randint(1, 9) for _ in range(4)] for _ in range(2)]
        woven = [v for pair in zip(a, b) for v in pair]
        rows.append(a + [0] + b + [10] + woven)
    return torch.tensor(rows)


class Decoder(nn.Module):
    def __init__(self, vocab=11, width=48, heads=4, depth=2, ctx=20):
        super().__init__()
        self.token, self.place = nn.Embedding(vocab, width), nn.Embedding(ctx, width)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        self.unembed = nn.Linear(width, vocab)
        self.register_buffer("future", torch.ones(ctx, ctx, dtype=torch.bool).triu(1))

    def forward(self, ids):
        t = ids.size(1)
        h = self.token(ids) + self.place(torch.arange(t))
        return self.unembed(self.layers(h, mask=self.future[:t, :t]))


def answer_loss(model, rows):
    # only the woven part is predictable, score that
    logits = model(rows[:, :-1])[:, 9:]
    return F.cross_entropy(logits.reshape(-1, logits.size(-1)), rows[:, 10:].reshape(-1)), logits


def main():
    args = get_args()
    torch.manual_seed(args.seed)
    train, valid = puzzle_rows(6000, 0), puzzle_rows(300, 1)
    model = Decoder()
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=args.momentum)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda u: min(1.0, (u + 1) / 10))
    optimizer.zero_grad()
    update, micro, window = 0, 0, 0.0
    while update < args.updates:
        rows = train[torch.randint(len(train), (args.micro_batch_size,))]
        loss, _ = answer_loss(model, rows)
        (loss / args.accumulate).backward()
        window += loss.item() / args.accumulate
        micro += 1
        if micro % args.accumulate == 0:
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            update += 1
            if update % 15 == 0:
                with torch.no_grad():
                    vl, logits = answer_loss(model, valid)
                acc = (logits.argmax(-1) == valid[:, 10:]).float().mean()
                print(f"update {update:3d} ({micro} micro-batches): loss {window:.4f} val loss {vl:.4f} val acc {acc:.3f}")
            window = 0.0


if __name__ == "__main__":
    main()

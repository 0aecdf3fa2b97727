"""Question: what stands at position k?  A pointer-reading transformer on rows of 32 symbols."""
import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


class PositionalEmbedding(nn.Module):
    def __init__(self, max_positions, dim):
        super().__init__()
        self.max_positions = max_positions
        self.table = nn.Embedding(max_positions, dim)

    def forward(self, x):
        pos = torch.arange(x.size(1), device=x.device)
        pos = pos.clamp(max=self.max_positions - 1)
        return x + self.table(pos)


class PointerReader(nn.Module):
    def __init__(self, symbols, length, dim, heads, depth, max_positions):
        super().__init__()
        self.symbol = nn.Embedding(symbols, dim)
        self.question = nn.Embedding(length, dim)
        self.position = PositionalEmbedding(max_positions, dim)
        layer = nn.TransformerDecoderLayer(dim, heads, 2 * dim, 0.0, batch_first=True, norm_first=True)
        self.reader = nn.TransformerDecoder(layer, depth)
        self.norm, self.out = nn.LayerNorm(dim), nn.Linear(dim, symbols)

    def forward(self, row, k):
        memory = self.position(self.symbol(row))
        q = self.reader(self.question(k).unsqueeze(1), memory)
        return self.out(self.norm(q[:, 0]))


def draw(n, args, gen):
    row = torch.randint(args.symbols, (n, args.length), generator=gen)
    k = torch.randint(args.length, (n,), generator=gen)
    return row, k, row.gather(1, k[:, None]).squeeze(1)


def evaluate(model, args):
    row, k, y = draw(1000, args, torch.Generator().manual_seed(4242))
    model.eval()
    with torch.no_grad():
        logits = model(row, k)
    model.train()
    hit = (logits.argmax(1) == y).float()
    return F.cross_entropy(logits, y).item(), hit.mean().item(), hit[k < 8].mean().item(), hit[k >= 24].mean().item()


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--symbols", type=int, default=8)
    ap.add_argument("--length", type=int, default=32)
    ap.add_argument("--dim", type=int, default=48)
    ap.add_argument("--heads", type=int, default=4)
    ap.add_argument("--depth", type=int, default=1)
    ap.add_argument("--max-positions", type=int, default=32)
    ap.add_argument("--steps", type=int, default=600)
    ap.add_argument("--lr", type=float, default=3e-3)
    args = ap.parse_args()

    torch.manual_seed(0)
    gen = torch.Generator().manual_seed(0)
    model = PointerReader(args.symbols, args.length, args.dim, args.heads, args.depth, args.max_positions)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    for step in range(1, args.steps + 1):
        row, k, y = draw(64, args, gen)
        loss = F.cross_entropy(model(row, k), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % (args.steps // 5) == 0:
            vl, acc, head, tail = evaluate(model, args)
            print(f"step {step} train {loss.item():.4f} test {vl:.4f} acc {acc:.3f} (first 8: {head:.3f}, last 8: {tail:.3f})")


if __name__ == "__main__":
    main()

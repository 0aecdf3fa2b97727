"""Text matching on top of fixed word vectors (GloVe stand-in: random projections of word features)."""
import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


def word_vectors(n_words, dim, n_topics, seed):
    g = torch.Generator().manual_seed(seed)
    topic = torch.randint(n_topics, (n_words,), generator=g)
    centers = torch.randn(n_topics, dim, generator=g)
    return centers[topic] + 0.4 * torch.randn(n_words, dim, generator=g), topic


def pairs(n, topic, length, seed):
    """two phrases; label 1 when their dominating topics agree"""
    g = torch.Generator().manual_seed(seed)
    k = int(topic.max()) + 1
    by_topic = [(topic == t).nonzero().squeeze(1) for t in range(k)]
    a, b, ys = [], [], []
    for _ in range(n):
        t1 = int(torch.randint(k, (1,), generator=g))
        same = bool(torch.rand(1, generator=g) < 0.5)
        t2 = t1 if same else (t1 + int(torch.randint(1, k, (1,), generator=g))) % k
        for t, dst in ((t1, a), (t2, b)):
            own = by_topic[t][torch.randint(len(by_topic[t]), (length,), generator=g)]
            other = torch.randint(len(topic), (length,), generator=g)
            dst.append(torch.where(torch.rand(length, generator=g) < 0.7, own, other))
        ys.append(int(same))
    return torch.stack(a), torch.stack(b), torch.tensor(ys).float()


class Matcher(nn.Module):
    def __init__(self, vectors, hidden=48):
        super().__init__()
        self.words = nn.Embedding.from_pretrained(vectors, freeze=True)
        self.proj = nn.Linear(vectors.size(1), hidden)
        self.att = nn.Linear(hidden, 1)
        self.mlp = nn.Sequential(nn.Linear(4 * hidden, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, 1))

    def encode(self, ids):
        h = torch.tanh(self.proj(self.words(ids)))
        w = self.att(h).softmax(dim=1)
        return (w * h).sum(1)

    def forward(self, a, b):
        u, v = self.encode(a), self.encode(b)
        return self.mlp(torch.cat([u, v, u * v, (u - v).abs()], -1)).squeeze(-1)


def main(args):
    torch.manual_seed(args.seed)
    vectors, topic = word_vectors(500, 32, 6, 0)
    train, test = pairs(3000, topic, 6, 1), pairs(600, topic, 6, 2)
    model = Matcher(vectors)
    learnable = [p for p in model.parameters() if p.requires_grad]
    print(f"{sum(p.numel() for p in learnable)} of {sum(p.numel() for p in model.parameters())} parameters are trained")
    opt = torch.optim.Adam(learnable, lr=args.lr)
    for epoch in range(1, args.epochs + 1):
        model.train()
        for i in torch.randperm(3000).split(50):
            loss = F.binary_cross_entropy_with_logits(model(train[0][i], train[1][i]), train[2][i])
            opt.zero_grad()
            loss.backward()
            opt.step()
        model.eval()
        with torch.no_grad():
            z = model(test[0], test[1])
        print(f"epoch {epoch:2d} loss {loss.item():.4f} test bce {F.binary_cross_entropy_with_logits(z, test[2]).item():.4f} acc {((z > 0) == (test[2] > 0.5)).float().mean():.4f}")


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--epochs", type=int, default=12)
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--seed", type=int, default=0)
    main(p.parse_args())

"""Language model over a synthetic grammar, recurrent."""
import torch
from torch import nn

torch.manual_seed(33)
VOCAB = 28


class Grammar:
    def __init__(self, seed=2):
        g = torch.Generator().manual_seed(seed)
        self.p = torch.softmax(1.6 * torch.randn(VOCAB, VOCAB, generator=g), 1)

    def sentences(self, n, length):
        s = torch.randint(VOCAB, (n, 1))
        for _ in range(length - 1):
            s = torch.cat([s, torch.multinomial(self.p[s[:, -1]], 1)], 1)
        return s


class RecurrentLM(nn.Module):
    def __init__(self, options):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, options["embed"])
        self.rnn = nn.GRU(options["embed"], options["hidden"], **options["rnn"])
        wide = options["hidden"] * (2 if self.rnn.bidirectional else 1)
        self.proj = nn.Linear(wide, VOCAB)

    def forward(self, tok):
        h, _ = self.rnn(self.embed(tok))
        return self.proj(h)


options = {"embed": 32, "hidden": 64, "rnn": {"num_layers": 1, "batch_first": True, "bidirectional": False}}
lm = RecurrentLM(options)
opt = torch.optim.Adam(lm.parameters(), lr=5e-3)
gram = Grammar()
corpus, dev = gram.sentences(800, 21), gram.sentences(200, 21)


def nll(tok):
    logits = lm(tok[:, :-1])
    target = tok[:, 1:]
    return nn.functional.cross_entropy(logits.reshape(-1, VOCAB), target.reshape(-1))


for epoch in range(10):
    lm.train()
    tot = 0
    for rows in torch.randperm(len(corpus)).split(40):
        loss = nll(corpus[rows])
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(lm.parameters(), 5.0)
        opt.step()
        tot += loss.item() * len(rows) / len(corpus)
    lm.eval()
    with torch.no_grad():
        print(f"epoch {epoch}: train ppl {torch.tensor(tot).exp():.2f} dev ppl {nll(dev).exp():.2f}")

ref = gram.p[dev[:, :-1], dev[:, 1:]].log().mean()
print(f"bigram table ppl on dev {(-ref).exp():.2f}")

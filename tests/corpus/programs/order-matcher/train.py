import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(17)
LEN, VOCAB = 20, 30


def batch(n):
    ids = torch.randint(2, VOCAB, (n, LEN))
    pos = torch.stack([torch.randperm(LEN)[:2] for _ in range(n)])
    rows = torch.arange(n)
    ids[rows, pos[:, 0]] = 0
    ids[rows, pos[:, 1]] = 1
    return ids, (pos[:, 0] < pos[:, 1]).long()


class Encoder(nn.Module):
    def __init__(self, d=48):
        super().__init__()
        self.emb = nn.Embedding(VOCAB, d)
        self.gru = nn.GRU(d, d, batch_first=True, bidirectional=True)

    def forward(self, ids):
        states, _ = self.gru(self.emb(ids))
        return states


class AttentionPool(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.query = nn.Linear(d, d)
        self.score = nn.Linear(d, 1)

    def forward(self, states):
        w = torch.softmax(self.score(torch.tanh(self.query(states))), dim=1)
        return (w * states).sum(1)


class Matcher(nn.Module):
    def __init__(self, d=48):
        super().__init__()
        self.encoder = Encoder(d)
        self.pool = AttentionPool(2 * d)
        self.cls = nn.Sequential(nn.Linear(2 * d, 64), nn.ReLU(), nn.Linear(64, 2))
        self.cache = None

    def forward(self, ids):
        states = self.encoder(ids)
        self.cache = states.detach()
        return self.cls(self.pool(states))


model = Matcher()
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
val_ids, val_y = batch(1000)
for step in range(1, 301):
    model.train()
    ids, y = batch(64)
    loss = F.cross_entropy(model(ids), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if step % 50 == 0:
        model.eval()
        with torch.no_grad():
            out = model(val_ids)
            vl = F.cross_entropy(out, val_y).item()
        acc = (out.argmax(1) == val_y).float().mean().item()
        print(f"step {step} loss {loss.item():.4f} val_loss {vl:.4f} val_acc {acc:.3f}")

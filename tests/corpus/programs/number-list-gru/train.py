"""GRU language model on ordered number lists ("3 4 5 6 | 7 5 3 1 | ...")."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(5)
BASE, ROW_LEN, SEP = 30, 7, 30


def lists(n, seed):
    """each list: random start, step in {-3..3} except 0, then a separator"""
    g = torch.Generator().manual_seed(seed)
    start = torch.randint(BASE, (n, 4, 1), generator=g)
    step = torch.randint(1, 4, (n, 4, 1), generator=g) * (torch.randint(2, (n, 4, 1), generator=g) * 2 - 1)
    body = (start + step * torch.arange(ROW_LEN - 1)) % BASE
    sep = torch.full((n, 4, 1), SEP)
    return torch.cat([body, sep], dim=2).flatten(1)


class RowDataset(TensorDataset):
    def __getitem__(self, i):
        row = self.tensors[0][i]
        return row[:-1], row[1:]


class GRULM(nn.Module):
    def __init__(self, vocab=BASE + 1, d=96):
        super().__init__()
        self.embed = nn.Embedding(vocab, d)
        self.gru = nn.GRU(d, d, batch_first=True)
        self.drop = nn.Dropout(0.05)
        self.decoder = nn.Linear(d, vocab)

    def forward(self, ids, labels=None):
        h, _ = self.gru(self.embed(ids))
        logits = self.decoder(self.drop(h))
        if labels is None:
            return logits
        shift_logits = logits.contiguous()
        shift_labels = labels.contiguous()
        return F.cross_entropy(shift_logits.view(-1, shift_logits.size(-1)), shift_labels.view(-1))


def generate(model, prompt, n):
    ids = prompt
    for _ in range(n):
        with torch.no_grad():
            ids = torch.cat([ids, model(ids)[:, -1].argmax(-1, keepdim=True)], dim=1)
    return ids


train_loader = DataLoader(RowDataset(lists(4000, 0)), batch_size=50, shuffle=True)
valid = lists(300, 1)
model = GRULM()
optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)

for epoch in range(6):
    model.train()
    tot = 0.0
    for x, y in train_loader:
        loss = model(x, y)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        tot += loss.item()
    model.eval()
    with torch.no_grad():
        val = model(valid[:, :-1], valid[:, 1:]).item()
    print("Epoch: %02d | Train Loss: %.3f | Val. Loss: %.3f" % (epoch + 1, tot / len(train_loader), val))

# show the model two lists and the first two numbers of a third
prompt = valid[:, :2 * ROW_LEN + 2]
out = generate(model, prompt, ROW_LEN - 2)
gold = valid[:, :3 * ROW_LEN]
match = (out[:, 2 * ROW_LEN + 2:] == gold[:, 2 * ROW_LEN + 2:]).float().mean().item()
print("continuation accuracy: %.3f" % match)
print("sample:", out[0].tolist())

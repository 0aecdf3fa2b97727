"""BiGRU tagger for made-up product codes (batches padded to the longest row)."""
import torch
import torch.nn as nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

TAGS = ["O", "NUM", "UNIT", "BRAND"]
WORD_PAD, TAG_PAD = 0, len(TAGS)


class Codes(Dataset):
    """words 1-9 digits, 10-14 units (only after a digit), 15-19 brands or plain words, 20-39 plain words"""

    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.rows = []
        for _ in range(n):
            length = int(torch.randint(5, 16, (1,), generator=g))
            w = torch.randint(1, 40, (length,), generator=g)
            t = torch.zeros(length, dtype=torch.long)
            for i in range(length):
                if w[i] < 10:
                    t[i] = 1
                elif w[i] < 15 and i > 0 and w[i - 1] < 10:
                    t[i] = 2
                elif 15 <= w[i] < 20 and i + 1 < length and w[i + 1] < 10:
                    t[i] = 3
            self.rows.append((w, t))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


def collate(rows):
    words = pad_sequence([w for w, _ in rows], batch_first=True, padding_value=WORD_PAD)
    tags = pad_sequence([t for _, t in rows], batch_first=True, padding_value=TAG_PAD)
    return words, tags


class Tagger(nn.Module):
    def __init__(self, hidden=48):
        super().__init__()
        self.emb = nn.Embedding(40, 32, padding_idx=WORD_PAD)
        self.rnn = nn.GRU(32, hidden, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * hidden, len(TAGS) + 1)

    def forward(self, words):
        h, _ = self.rnn(self.emb(words))
        return self.out(h)


def score(model, loader):
    model.eval()
    hit, cnt = torch.zeros(len(TAGS)), torch.zeros(len(TAGS))
    with torch.no_grad():
        for words, tags in loader:
            pred = model(words).argmax(-1)
            for k in range(len(TAGS)):
                m = tags == k
                hit[k] += (pred[m] == k).sum()
                cnt[k] += m.sum()
    return hit / cnt, (hit.sum() / cnt.sum()).item()


def main():
    torch.manual_seed(1)
    train = DataLoader(Codes(2000, 0), batch_size=32, shuffle=True, collate_fn=collate)
    valid = DataLoader(Codes(300, 1), batch_size=64, collate_fn=collate)
    model = Tagger()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    criterion = nn.CrossEntropyLoss(ignore_index=TAG_PAD)
    for epoch in range(1, 8):
        model.train()
        running = 0.0
        for words, tags in train:
            optimizer.zero_grad()
            logits = model(words)
            loss = criterion(logits.permute(0, 2, 1), tags)
            loss.backward()
            optimizer.step()
            running += loss.item()
        per_tag, acc = score(model, valid)
        detail = " ".join(f"{t}={v:.2f}" for t, v in zip(TAGS, per_tag.tolist()))
        print(f"epoch {epoch} loss {running / len(train):.4f} val token accuracy {acc:.4f} ({detail})")


if __name__ == "__main__":
    main()

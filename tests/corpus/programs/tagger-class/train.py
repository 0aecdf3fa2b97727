import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset

IGNORE = -100


class TagData(Dataset):
    """Tag depends on the word and on both neighbours (a left trigger or a right trigger)."""

    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.items = []
        for _ in range(n):
            L = int(torch.randint(4, 16, (1,), generator=g))
            w = torch.randint(1, 21, (L,), generator=g)
            tags = (w > 14).long()
            tags[1:][w[:-1] <= 3] = 2
            tags[:-1][w[1:] == 20] = 3
            self.items.append((w, tags))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def collate(batch):
    words, tags = zip(*batch)
    lengths = torch.tensor([len(w) for w in words])
    return (pad_sequence(words, batch_first=True), lengths,
            pad_sequence(tags, batch_first=True, padding_value=IGNORE))


class BiLSTMTagger(nn.Module):
    def __init__(self, vocab=21, emb=24, hidden=32, tags=4):
        super().__init__()
        self.emb = nn.Embedding(vocab, emb, padding_idx=0)
        self.drop = nn.Dropout(0.1)
        self.lstm = nn.LSTM(emb, hidden, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * hidden, tags)

    def forward(self, words, lengths):
        packed = pack_padded_sequence(self.drop(self.emb(words)), lengths.cpu(), batch_first=True, enforce_sorted=False)
        h, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.head(h)


class Runner:
    def __init__(self):
        torch.manual_seed(4)
        self.train_dl = DataLoader(TagData(1200, 1), batch_size=32, shuffle=True, collate_fn=collate)
        self.dev_dl = DataLoader(TagData(200, 2), batch_size=100, collate_fn=collate)
        self.model = BiLSTMTagger()
        self.crit = nn.CrossEntropyLoss(ignore_index=IGNORE)
        self.opt = torch.optim.Adam(self.model.parameters(), lr=5e-3)
        self.sched = torch.optim.lr_scheduler.StepLR(self.opt, step_size=3, gamma=0.5)

    def fit(self, epochs):
        for ep in range(epochs):
            self.model.train()
            tot = 0.0
            for w, L, t in self.train_dl:
                self.opt.zero_grad()
                loss = self.crit(self.model(w, L).flatten(0, 1), t.flatten())
                loss.backward()
                self.opt.step()
                tot += loss.item()
            self.sched.step()
            print(f"epoch {ep} loss {tot / len(self.train_dl):.4f} dev acc {self.evaluate():.4f} lr {self.sched.get_last_lr()[0]:.2e}")

    @torch.no_grad()
    def evaluate(self):
        self.model.eval()
        ok = n = 0
        for w, L, t in self.dev_dl:
            m = t != IGNORE
            ok += (self.model(w, L).argmax(-1)[m] == t[m]).sum().item()
            n += m.sum().item()
        return ok / n


if __name__ == "__main__":
    Runner().fit(7)

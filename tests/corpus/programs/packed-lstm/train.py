import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader

torch.manual_seed(2)
PAD, VOCAB = 0, 50


def make(n):
    items = []
    for _ in range(n):
        length = int(torch.randint(4, 25, (1,)))
        s = torch.randint(1, VOCAB, (length,))
        items.append((s, int((s < 25).sum() > (s >= 25).sum())))
    return items


def collate(batch):
    seqs, labels = zip(*batch)
    lengths = torch.tensor([len(s) for s in seqs])
    return pad_sequence(seqs, batch_first=True, padding_value=PAD), lengths, torch.tensor(labels)


class LSTMClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, 24, padding_idx=PAD)
        self.lstm = nn.LSTM(24, 48, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.3)
        self.fc = nn.Linear(96, 2)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(self.embedding(x), lengths, batch_first=True,
                                      enforce_sorted=False)
        _, (h, _) = self.lstm(packed)
        return self.fc(self.dropout(torch.cat([h[-2], h[-1]], dim=1)))


train_loader = DataLoader(make(2500), batch_size=64, shuffle=True, collate_fn=collate)
val_loader = DataLoader(make(600), batch_size=128, collate_fn=collate)
model = LSTMClassifier()
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
crit = nn.CrossEntropyLoss()

for epoch in range(5):
    model.train()
    total = 0.0
    for x, n, y in train_loader:
        opt.zero_grad()
        loss = crit(model(x, n), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        opt.step()
        total += loss.item()
    model.eval()
    correct = 0
    with torch.no_grad():
        for x, n, y in val_loader:
            correct += (model(x, n).argmax(1) == y).sum().item()
    print(f"epoch {epoch} loss {total / len(train_loader):.4f} acc {correct / 600:.3f}")

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(3)
VOCAB, EXTRA, LEN = 200, 40, 16


class Reviews(Dataset):
    """Token ids; the class depends on how many ids fall in a 'positive' set."""

    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.x = torch.randint(0, VOCAB + EXTRA, (n, LEN), generator=g)
        score = (self.x % 3 == 0).sum(1) - (self.x % 3 == 1).sum(1)
        self.y = (score > 0).long()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class BagClassifier(nn.Module):
    def __init__(self, vocab, dim=32):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim)
        self.fc = nn.Sequential(nn.Linear(dim, 32), nn.ReLU(), nn.Linear(32, 2))

    def resize(self, new_vocab):
        old = self.emb
        self.emb = nn.Embedding(new_vocab, old.embedding_dim)
        with torch.no_grad():
            self.emb.weight[: old.num_embeddings] = old.weight

    def forward(self, ids):
        return self.fc(self.emb(ids).mean(1))


model = BagClassifier(VOCAB)
model.resize(VOCAB + EXTRA)
opt = torch.optim.Adam(model.parameters(), lr=2e-3)
loss_fn = nn.CrossEntropyLoss()

train = DataLoader(Reviews(4000, 1), batch_size=64, shuffle=True)
val = DataLoader(Reviews(1000, 2), batch_size=200)

for epoch in range(8):
    model.train()
    running = 0.0
    for x, y in train:
        opt.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        opt.step()
        running += loss.item() * len(x)
    model.eval()
    correct = 0
    with torch.no_grad():
        for x, y in val:
            correct += (model(x).argmax(1) == y).sum().item()
    print(f"epoch {epoch} loss {running / 4000:.4f} val_acc {correct / 1000:.3f}")

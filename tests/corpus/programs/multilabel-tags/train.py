import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

# multi-label tagging of short audio clips from 30 band energies
torch.manual_seed(40)
N_TAGS, N_BANDS = 8, 30

profiles = torch.randn(N_TAGS, N_BANDS)


def clips(n):
    tags = (torch.rand(n, N_TAGS) < 0.22).float()
    gain = 0.6 + 0.8 * torch.rand(n, N_TAGS)
    bands = (tags * gain) @ profiles + 0.7 * torch.randn(n, N_BANDS)
    return torch.tanh(0.6 * bands) / 0.6, tags


train_dl = DataLoader(TensorDataset(*clips(3000)), batch_size=64, shuffle=True)
val_dl = DataLoader(TensorDataset(*clips(600)), batch_size=200)

tagger = nn.Sequential(
    nn.Linear(N_BANDS, 96),
    nn.BatchNorm1d(96),
    nn.ReLU(),
    nn.Linear(96, 48),
    nn.ReLU(),
    nn.Linear(48, N_TAGS),
)
criterion = nn.BCEWithLogitsLoss()
opt = optim.AdamW(tagger.parameters(), lr=2e-3, weight_decay=1e-4)


def evaluate():
    tagger.eval()
    tp = fp = fn = 0
    loss = 0.0
    with torch.no_grad():
        for x, t in val_dl:
            out = tagger(x)
            loss += criterion(out, t).item() * len(x)
            pred = torch.sigmoid(out) > 0.5
            tp += (pred & (t == 1)).sum().item()
            fp += (pred & (t == 0)).sum().item()
            fn += (~pred & (t == 1)).sum().item()
    return loss / 600, 2 * tp / (2 * tp + fp + fn)


for epoch in range(1, 16):
    tagger.train()
    seen, total = 0, 0.0
    for x, t in train_dl:
        opt.zero_grad()
        loss = criterion(tagger(x), t)
        loss.backward()
        opt.step()
        total += loss.item() * len(x)
        seen += len(x)
    val_loss, f1 = evaluate()
    print(f"epoch {epoch:2d}  train loss {total / seen:.4f}  val loss {val_loss:.4f}  val f1 {f1:.4f}")

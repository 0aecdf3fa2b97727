# 5-fold cross-validation on a small tabular multi-label problem.
# A new model and optimizer for each fold; scaler statistics from the training folds only.
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 2024
rng = np.random.default_rng(SEED)
X = rng.normal(size=(1000, 12)) * rng.uniform(0.5, 30, size=12) + rng.uniform(-20, 20, size=12)
Z = (X - X.mean(0)) / X.std(0)
logits = np.stack([Z[:, 0] + Z[:, 1], Z[:, 2] * 1.5 - Z[:, 3], Z[:, 4] - 1.8, Z[:, 5] * Z[:, 6] * 1.5], 1)
Y = (logits + 0.3 * rng.normal(size=logits.shape) > 0).astype(np.float32)  # label 2 is rare


def make_model():
    return nn.Sequential(nn.Linear(12, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Dropout(0.2), nn.Linear(48, 4))


def f1(pred, true):
    tp = (pred * true).sum(0)
    return (2 * tp / (pred.sum(0) + true.sum(0)).clamp(min=1)).mean().item()


order = rng.permutation(len(X))
folds = np.array_split(order, 5)
scores = []
for k in range(5):
    torch.manual_seed(SEED + k)
    va = folds[k]
    tr = np.concatenate([folds[j] for j in range(5) if j != k])
    mu, sd = X[tr].mean(0), X[tr].std(0)
    xt = torch.tensor((X[tr] - mu) / sd, dtype=torch.float32)
    xv = torch.tensor((X[va] - mu) / sd, dtype=torch.float32)
    yt, yv = torch.tensor(Y[tr]), torch.tensor(Y[va])
    pos_weight = ((1 - yt).sum(0) / yt.sum(0)).clamp(max=10)

    model = make_model()
    criterion = nn.BCEWithLogitsLoss(pos_weight=pos_weight)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=1e-2)
    loader = DataLoader(TensorDataset(xt, yt), batch_size=32, shuffle=True)
    for epoch in range(15):
        model.train()
        running = 0.0
        for xb, yb in loader:
            optimizer.zero_grad()
            loss = criterion(model(xb), yb)
            loss.backward()
            optimizer.step()
            running += loss.item() * len(xb)
        if epoch % 5 == 0 or epoch == 14:
            model.eval()
            with torch.no_grad():
                out = model(xv)
                print(f"fold {k} epoch {epoch} train loss {running / len(xt):.4f} val loss {criterion(out, yv).item():.4f} "
                      f"f1 {f1((out > 0).float(), yv):.3f}")
    scores.append(f1((out > 0).float(), yv))
print(f"macro F1 {np.mean(scores):.3f} +- {np.std(scores):.3f}")

import copy

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(61)

# small study: 500 subjects, 60 questionnaire items, binary outcome
w = torch.randn(60) * (torch.rand(60) < 0.2).float()


def subjects(n):
    x = torch.randn(n, 60)
    p = torch.sigmoid(1.2 * x @ w)
    return TensorDataset(x, (torch.rand(n) < p).float())


train_set, val_set = random_split(subjects(700), [500, 200])
test_set = subjects(1000)
train_dl = DataLoader(train_set, batch_size=25, shuffle=True)
val_dl = DataLoader(val_set, batch_size=200)
test_dl = DataLoader(test_set, batch_size=500)


def run_eval(model, dl, criterion):
    model.eval()
    loss, hit, n = 0.0, 0, 0
    with torch.no_grad():
        for x, y in dl:
            out = model(x).squeeze(1)
            loss += criterion(out, y).item() * len(y)
            hit += ((out > 0).float() == y).sum().item()
            n += len(y)
    return loss / n, hit / n


def train_model(model, criterion, optimizer, num_epochs=20):
    best_weights = None
    best_loss = float("inf")
    for epoch in range(num_epochs):
        model.train()
        running = 0.0
        for x, y in train_dl:
            optimizer.zero_grad()
            loss = criterion(model(x).squeeze(1), y)
            loss.backward()
            optimizer.step()
            running += loss.item() * len(y)
        val_loss, val_acc = run_eval(model, val_dl, criterion)
        print(f"Epoch {epoch}/{num_epochs - 1} train {running / 500:.4f} val {val_loss:.4f} acc {val_acc:.3f}")
        if val_loss < best_loss:
            best_loss = val_loss
            best_weights = copy.deepcopy(model.state_dict())
    print(f"Best val loss: {best_loss:.4f}")
    model.load_state_dict(best_weights)
    return model


model = nn.Sequential(nn.Linear(60, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 1))
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
model = train_model(model, criterion, optimizer)
loss, acc = run_eval(model, test_dl, criterion)
print(f"best checkpoint: test loss {loss:.4f} acc {acc:.3f}")

import copy

import torch
import torch.nn as nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, TensorDataset


def make(n):
    x = torch.rand(n, 3) * 4 - 2
    y = torch.sin(2 * x[:, :1]) + 0.5 * x[:, 1:2] ** 2 - x[:, 2:3] + 0.1 * torch.randn(n, 1)
    return x, y


class EarlyStopper:
    def __init__(self, patience):
        self.patience, self.best, self.bad, self.state = patience, float("inf"), 0, None

    def update(self, value, model):
        if value < self.best - 1e-4:
            self.best, self.bad = value, 0
            self.state = copy.deepcopy(model.state_dict())
        else:
            self.bad += 1
        return self.bad >= self.patience


torch.manual_seed(10)
x_train, y_train = make(1000)
x_val, y_val = make(300)
x_test, y_test = make(300)
loader = DataLoader(TensorDataset(x_train, y_train), batch_size=50, shuffle=True)

model = nn.Sequential(nn.Linear(3, 128), nn.ReLU(), nn.Dropout(0.1), nn.Linear(128, 128), nn.ReLU(),
                      nn.Dropout(0.1), nn.Linear(128, 1))
loss_fn = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
scheduler = ReduceLROnPlateau(optimizer, factor=0.3, patience=4)
stopper = EarlyStopper(patience=12)

for epoch in range(120):
    model.train()
    train_loss = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = loss_fn(model(xb), yb)
        loss.backward()
        optimizer.step()
        train_loss += loss.item() * xb.size(0)
    model.eval()
    with torch.no_grad():
        val_loss = loss_fn(model(x_val), y_val).item()
    scheduler.step(val_loss)
    print(f"epoch {epoch}: train {train_loss / len(x_train):.4f} val {val_loss:.4f} lr {optimizer.param_groups[0]['lr']:.1e}")
    if stopper.update(val_loss, model):
        print("early stop")
        break

model.load_state_dict(stopper.state)

# test with MC dropout: only the dropout layers go back to train mode
model.eval()
with torch.no_grad():
    point = loss_fn(model(x_test), y_test).item()
for m in model.modules():
    if isinstance(m, nn.Dropout):
        m.train()
with torch.no_grad():
    draws = torch.stack([model(x_test) for _ in range(50)])
mc = loss_fn(draws.mean(0), y_test).item()
print(f"best val {stopper.best:.4f} test mse: deterministic {point:.4f}, MC mean {mc:.4f}, mean predictive std {draws.std(0).mean().item():.4f}")

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(44)


def init_weights(m):
    if isinstance(m, nn.Linear):
        nn.init.xavier_uniform_(m.weight)
        nn.init.zeros_(m.bias)


class PriceModel(nn.Module):
    def __init__(self, n_in, hidden=64):
        super().__init__()
        self.fc1 = nn.Linear(n_in, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, 1)
        self.act = nn.Tanh()
        self.apply(init_weights)

    def forward(self, x):
        x = self.act(self.fc1(x))
        x = self.act(self.fc2(x))
        return self.fc3(x)


# option-like payoff surface on 4 standardised market variables
def market(n):
    x = torch.randn(n, 4)
    value = torch.relu(x[:, 0] - 0.5 * x[:, 1]) + torch.cos(2 * x[:, 2]) - 0.6 * x[:, 1] * x[:, 3]
    return x, (value + 0.05 * torch.randn(n)).unsqueeze(1)


x_all, y_all = market(3000)
y_all = (y_all - y_all[:2500].mean()) / y_all[:2500].std()
loader = DataLoader(TensorDataset(x_all[:2500], y_all[:2500]), batch_size=50, shuffle=True)
x_dev, y_dev = x_all[2500:], y_all[2500:]

model = PriceModel(4)
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

for epoch in range(20):
    model.train()
    tot = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        tot += loss.item() * len(x)
    model.eval()
    with torch.no_grad():
        rmse = criterion(model(x_dev), y_dev).sqrt().item()
    if epoch % 2 == 1:
        print(f"Epoch {epoch + 1:02d}: mse {tot / 2500:.4f}  dev rmse {rmse:.4f}")

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(99)

# concrete strength: 7 mix components -> one number
N = 2600
mix = torch.rand(N, 7)
strength = 2.2 * mix[:, 0] - 1.4 * mix[:, 3] ** 2 + 1.1 * torch.sin(3 * mix[:, 1]) * mix[:, 2] + 0.8 * mix[:, 5] * mix[:, 6]
strength = strength + 0.1 * torch.randn(N)
strength = (strength - strength[:2000].mean()) / strength[:2000].std()
mix = (mix - mix[:2000].mean(0)) / mix[:2000].std(0)

train_ds = TensorDataset(mix[:2000], strength[:2000])
X_test, y_test = mix[2000:], strength[2000:]


class StrengthNet(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(7, width), nn.SiLU(),
            nn.Linear(width, width), nn.SiLU(),
            nn.Linear(width, 1),
        )

    def forward(self, x):
        return self.net(x)


def r2_score(pred, target):
    ss_res = ((target - pred.flatten()) ** 2).sum()
    ss_tot = ((target - target.mean()) ** 2).sum()
    return (1 - ss_res / ss_tot).item()


def fit(model, epochs=25, lr=2e-3):
    loader = DataLoader(train_ds, batch_size=80, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for epoch in range(epochs):
        model.train()
        mse = 0.0
        for xb, yb in loader:
            pred = model(xb).squeeze(1)
            loss = ((pred - yb) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            mse += loss.item()
        model.eval()
        with torch.no_grad():
            r2 = r2_score(model(X_test), y_test)
        if (epoch + 1) % 5 == 0:
            print(f"epoch {epoch + 1}: mse {mse / len(loader):.4f}  R2 {r2:.4f}")


fit(StrengthNet())

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(209)

# cell types in a blood smear: frequencies as in reality
FREQ = torch.tensor([0.70, 0.20, 0.07, 0.03])
SIZE = 14


def smear(n):
    y = torch.multinomial(FREQ, n, replacement=True)
    r = torch.arange(SIZE).float() - (SIZE - 1) / 2
    cy, cx = torch.randn(2, n, 1, 1) * 0.7
    d = ((r[None, :, None] - cy) ** 2 + (r[None, None, :] - cx) ** 2).sqrt()
    radius = torch.tensor([3.0, 4.2, 4.2, 5.4])[y][:, None, None]
    img = torch.sigmoid((radius - d) * 2)
    nucleus = torch.tensor([0.0, 1.5, 3.0, 1.5])[y][:, None, None]
    img = img + torch.sigmoid((nucleus - d) * 3) * (nucleus > 0)
    return (img + 0.35 * torch.randn(n, SIZE, SIZE) - 0.5).unsqueeze(1), y


class CellNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2),
        )
        self.classifier = nn.Linear(24 * 9, 4)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


x_tr, y_tr = smear(2500)
x_va, y_va = smear(1000)
counts = torch.bincount(y_tr, minlength=4).float()
weights = counts.sum() / (4 * counts)
print("counts", counts.int().tolist(), "weights", [round(w, 2) for w in weights.tolist()])

loader = DataLoader(TensorDataset(x_tr, y_tr), batch_size=64, shuffle=True)
model = CellNet()
criterion = nn.CrossEntropyLoss(weight=weights)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(10):
    model.train()
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    model.eval()
    with torch.no_grad():
        pred = model(x_va).argmax(1)
    recall = [(pred[y_va == c] == c).float().mean().item() for c in range(4)]
    print(f"epoch {epoch + 1:2d} weighted loss {total / len(loader):.4f} recall {' '.join(f'{r:.2f}' for r in recall)} bal_acc {sum(recall) / 4:.3f}")

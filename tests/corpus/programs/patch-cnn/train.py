import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(42)

N = 3200
centers = torch.randn(5, 1, 12, 12) * 0.35
labels = torch.randint(0, 5, (N,))
images = centers[labels] + torch.randn(N, 1, 12, 12)
ds = TensorDataset(images, labels)
train_set, val_set = random_split(ds, [2560, 640])
train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
val_loader = DataLoader(val_set, batch_size=8)


def block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False),
                         nn.BatchNorm2d(o), nn.ReLU(inplace=True))


model = nn.Sequential(
    block(1, 16), nn.MaxPool2d(2), block(16, 32), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(32 * 9, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 5),
)
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)


def train_one_epoch():
    model.train()
    total = 0.0
    for inputs, targets in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(inputs), targets)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(train_loader)


def validate():
    model.eval()
    loss_sum, correct, seen = 0.0, 0, 0
    with torch.no_grad():
        for inputs, targets in val_loader:
            outputs = model(inputs)
            loss_sum += criterion(outputs, targets).item() * targets.size(0)
            correct += (outputs.argmax(1) == targets).sum().item()
            seen += targets.size(0)
    return loss_sum / seen, correct / seen


for epoch in range(5):
    tr = train_one_epoch()
    vl, acc = validate()
    print(f"Epoch {epoch + 1}: train_loss {tr:.4f}  val_loss {vl:.4f}  val_acc {acc:.3f}")

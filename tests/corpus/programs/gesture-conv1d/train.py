import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class GestureFolder(Dataset):
    """Mimics an image-folder: items are listed directory by directory."""

    def __init__(self, per_class, seed, classes=8, channels=3, length=32):
        proto = torch.randn(classes, channels, length, generator=torch.Generator().manual_seed(1234))
        g = torch.Generator().manual_seed(seed)
        self.items = []
        for c in range(classes):
            for _ in range(per_class):
                shift = int(torch.randint(-2, 3, (1,), generator=g))
                sig = proto[c].roll(shift, dims=-1) + 0.9 * torch.randn(channels, length, generator=g)
                self.items.append((sig, c))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def build_model():
    return nn.Sequential(
        nn.Conv1d(3, 16, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(8),
        nn.Flatten(),
        nn.Linear(256, 8),
    )


def accuracy(model, loader):
    model.eval()
    ok = n = 0
    with torch.no_grad():
        for sig, label in loader:
            ok += (model(sig).argmax(1) == label).sum().item()
            n += len(label)
    return ok / n


def main():
    torch.manual_seed(4)
    train_set = GestureFolder(150, seed=1)
    valid_set = GestureFolder(40, seed=2)
    train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
    valid_loader = DataLoader(valid_set, batch_size=80)
    model = build_model()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    for epoch in range(12):
        model.train()
        losses = []
        for sig, label in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(sig), label)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        print("Epoch %d: train loss %.4f (last batch %.4f), valid acc %.3f" % (
            epoch + 1, sum(losses) / len(losses), losses[-1], accuracy(model, valid_loader)))


if __name__ == "__main__":
    main()

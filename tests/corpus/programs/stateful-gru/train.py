"""Classify short symbol sequences with a stateful GRU layer."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class CountSequences(Dataset):
    """eight digits, label = how many of them are below five"""

    def __init__(self, n, seed):
        self.x = torch.randint(0, 10, (n, 8), generator=torch.Generator().manual_seed(seed))
        self.y = (self.x < 5).sum(1)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class StatefulGRU(nn.Module):
    def __init__(self, symbols=10, classes=9, hidden=64):
        super().__init__()
        self.hidden_size = hidden
        self.embed = nn.Embedding(symbols, hidden)
        self.rnn = nn.GRU(hidden, hidden, batch_first=True)
        self.fc = nn.Linear(hidden, classes)
        self.state = None

    def forward(self, x):
        if self.state is None or self.state.size(1) != x.size(0):
            self.state = torch.zeros(1, x.size(0), self.hidden_size)
        out, state = self.rnn(self.embed(x))
        self.state = state.detach()
        return self.fc(out[:, -1])


def run_epoch(model, loader, optimizer=None):
    model.train(optimizer is not None)
    loss_sum = correct = count = 0
    with torch.set_grad_enabled(optimizer is not None):
        for x, y in loader:
            logits = model(x)
            loss = F.cross_entropy(logits, y)
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
            loss_sum += loss.item() * len(y)
            correct += (logits.argmax(1) == y).sum().item()
            count += len(y)
    return loss_sum / count, correct / count


def main():
    torch.manual_seed(12)
    train_loader = DataLoader(CountSequences(4096, 0), batch_size=64, shuffle=True, drop_last=True)
    valid_loader = DataLoader(CountSequences(640, 1), batch_size=64)
    model = StatefulGRU()
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    for epoch in range(8):
        tr_loss, tr_acc = run_epoch(model, train_loader, optimizer)
        va_loss, va_acc = run_epoch(model, valid_loader)
        print(f"Epoch {epoch + 1}/8 - loss: {tr_loss:.4f} - acc: {tr_acc:.4f} - val_loss: {va_loss:.4f} - val_acc: {va_acc:.4f}")


if __name__ == "__main__":
    main()

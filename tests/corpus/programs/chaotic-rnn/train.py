import torch
import torch.nn as nn
import torch.optim as optim

torch.manual_seed(7)

T, HIDDEN = 30, 48


def adding_task(n):
    """sum of the two marked numbers in a sequence"""
    values = torch.rand(n, T) * 2 - 1
    marks = torch.zeros(n, T)
    first = torch.randint(0, T // 2, (n,))
    second = torch.randint(T // 2, T, (n,))
    rows = torch.arange(n)
    marks[rows, first] = 1
    marks[rows, second] = 1
    target = values[rows, first] + values[rows, second]
    return torch.stack([values, marks], dim=2), target.unsqueeze(1)


class RecurrentNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(2, HIDDEN, nonlinearity="relu", batch_first=True)
        self.out = nn.Linear(HIDDEN, 1)
        nn.init.eye_(self.rnn.weight_hh_l0)
        nn.init.zeros_(self.rnn.bias_hh_l0)
        nn.init.zeros_(self.rnn.bias_ih_l0)
        nn.init.normal_(self.rnn.weight_ih_l0, std=0.05)

    def forward(self, x):
        h, _ = self.rnn(x)
        return self.out(h[:, -1])


model = RecurrentNet()
criterion = nn.MSELoss()
optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
x_val, y_val = adding_task(500)
steps_per_epoch = 60

for epoch in range(10):
    model.train()
    avg = 0.0
    for _ in range(steps_per_epoch):
        x, y = adding_task(50)
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        avg += loss.item() / steps_per_epoch
    model.eval()
    with torch.no_grad():
        val = criterion(model(x_val), y_val).item()
    print(f"epoch {epoch + 1:2d}  train_mse {avg:.4f}  val_mse {val:.4f}")

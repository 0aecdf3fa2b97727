import torch
import torch.nn as nn
from torch.nn.utils import clip_grad_norm_

torch.manual_seed(5)
SEQ, HID, BATCH = 60, 48, 64
CLIP = 1.0


def make_batch(n):
    """Running total: channel 0 is the amount, channel 1 its sign."""
    values = torch.rand(n, SEQ)
    signs = (torch.rand(n, SEQ) < 0.8).float() * 2 - 1
    target = (values * signs).sum(1)
    return torch.stack([values, signs], dim=2), target


class Adder(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(2, HID, batch_first=True, nonlinearity="relu")
        self.head = nn.Linear(HID, 1)
        with torch.no_grad():
            self.rnn.weight_hh_l0.copy_(torch.eye(HID))
            self.rnn.bias_hh_l0.zero_()
            self.rnn.bias_ih_l0.zero_()

    def forward(self, x):
        out, _ = self.rnn(x)
        return self.head(out[:, -1]).squeeze(-1)


model = Adder()
optimizer = torch.optim.SGD(model.parameters(), lr=5e-3)
loss_fn = nn.MSELoss()
val_x, val_y = make_batch(512)

for step in range(1, 401):
    model.train()
    x, y = make_batch(BATCH)
    optimizer.zero_grad()
    loss = loss_fn(model(x), y)
    loss.backward()
    clip_grad_norm_(model.parameters(), CLIP)
    optimizer.step()
    if step % 50 == 0:
        model.eval()
        with torch.no_grad():
            val = loss_fn(model(val_x), val_y)
        print(f"step {step:4d} | train {loss.item():.4f} | val {val.item():.4f}")

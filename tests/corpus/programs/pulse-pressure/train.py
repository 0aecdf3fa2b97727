"""Blood pressure from pulse waveforms; validation goes patient by patient."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(25)
WAVE = 48


def patient(n_beats, g):
    """all beats of one person look alike"""
    base = torch.randn(1, generator=g)
    level = base + 0.25 * torch.randn(n_beats, generator=g)
    t = torch.linspace(0, 1, WAVE)
    rise = 0.25 + 0.05 * torch.tanh(level)[:, None]
    wave = (1 + 0.4 * level[:, None]) * torch.exp(-((t - rise) ** 2) / 0.01)
    wave = wave + 0.5 * torch.exp(-((t - rise - 0.3) ** 2) / 0.02)
    return wave + 0.05 * torch.randn(n_beats, WAVE, generator=g), level


g = torch.Generator().manual_seed(25)
train_people = [patient(20, g) for _ in range(120)]
val_people = [patient(8, g) for _ in range(40)]
x_train = torch.cat([p[0] for p in train_people])
y_train = torch.cat([p[1] for p in train_people])


class WaveNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.block1 = nn.Sequential(nn.Conv1d(1, 16, 5, padding=2), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(2))
        self.block2 = nn.Sequential(nn.Conv1d(16, 32, 5, padding=2), nn.BatchNorm1d(32), nn.ReLU(), nn.AdaptiveAvgPool1d(6))
        self.fc = nn.Linear(192, 1)

    def forward(self, x):
        x = self.block2(self.block1(x.unsqueeze(1)))
        return self.fc(x.flatten(1)).squeeze(1)


def patient_error(model, people):
    errors = []
    model.eval()
    with torch.no_grad():
        for wave, level in people:
            errors.append((model(wave) - level).abs().mean())
    return torch.stack(errors).mean().item()


model = WaveNet()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(10):
    model.train()
    epoch_mae, seen = 0.0, 0
    for idx in torch.randperm(len(x_train)).split(64):
        pred = model(x_train[idx])
        loss = F.smooth_l1_loss(pred, y_train[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        epoch_mae += (pred.detach() - y_train[idx]).abs().sum().item()
        seen += len(idx)
    print(f"epoch {epoch:2d}: beat mae {epoch_mae / seen:.4f}, patient mae {patient_error(model, val_people):.4f}")

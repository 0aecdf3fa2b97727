import torch
import torch.nn as nn
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader, TensorDataset


def friedman(n):
    x = torch.rand(n, 10)
    y = (10 * torch.sin(torch.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
         + 10 * x[:, 3] + 5 * x[:, 4] + torch.randn(n))
    return x, y


def main():
    set_seed(31)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=4)

    x, y = friedman(4096)
    vx, vy = friedman(1024)
    mean, std = y.mean(), y.std()
    y, vy = (y - mean) / std, (vy - mean) / std
    train_loader = DataLoader(TensorDataset(x * 2 - 1, y), batch_size=16, shuffle=True)
    val_loader = DataLoader(TensorDataset(vx * 2 - 1, vy), batch_size=256)

    model = nn.Sequential(nn.Linear(10, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model, optimizer, train_loader, val_loader = accelerator.prepare(
        model, optimizer, train_loader, val_loader)
    loss_fn = nn.MSELoss()

    for epoch in range(8):
        model.train()
        total = 0.0
        for xb, yb in train_loader:
            with accelerator.accumulate(model):
                loss = loss_fn(model(xb).squeeze(-1), yb)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
            total += loss.item()
        model.eval()
        preds, refs = [], []
        for xb, yb in val_loader:
            with torch.no_grad():
                p = model(xb).squeeze(-1)
            p, r = accelerator.gather_for_metrics((p, yb))
            preds.append(p)
            refs.append(r)
        mse = loss_fn(torch.cat(preds), torch.cat(refs)).item()
        accelerator.print(f"epoch {epoch}: train {total / len(train_loader):.4f} val {mse:.4f}")


if __name__ == "__main__":
    main()

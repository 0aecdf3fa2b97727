"""Multi-sensor regression, trained through accelerate."""
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

config = {"lr": 0.02, "momentum": 0.9, "batch_size": 32, "epochs": 14, "seed": 7}


def build_data():
    x = torch.randn(1600, 12)
    y = torch.sin(x[:, :3]).sum(1) + x[:, 3] * x[:, 4] + 0.05 * torch.randn(1600)
    return random_split(TensorDataset(x, y), [1280, 320])


class Regressor(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, width), nn.GELU(), nn.Linear(width, width), nn.GELU())
        self.out = nn.Linear(width, 1)

    def forward(self, x):
        return self.out(self.body(x)).squeeze(-1)


def main():
    set_seed(config["seed"])
    accelerator = Accelerator(cpu=True)
    train_set, val_set = build_data()
    train_dl = DataLoader(train_set, batch_size=config["batch_size"], shuffle=True)
    val_dl = DataLoader(val_set, batch_size=160)
    model = Regressor()
    optim = torch.optim.SGD(model.parameters(), lr=config["lr"], momentum=config["momentum"])
    model, optim, train_dl, val_dl = accelerator.prepare(model, optim, train_dl, val_dl)

    for epoch in range(config["epochs"]):
        model.train()
        running = 0.0
        for xb, yb in train_dl:
            pred = model(xb)
            loss = nn.functional.smooth_l1_loss(pred, yb)
            accelerator.backward(loss)
            optim.step()
            optim.zero_grad()
            running += loss.item() * len(xb)
        model.eval()
        errs = []
        with torch.no_grad():
            for xb, yb in val_dl:
                p, t = accelerator.gather_for_metrics((model(xb), yb))
                errs.append((p - t).pow(2))
        accelerator.print(f"epoch {epoch}: train {running / 1280:.4f}  val mse {torch.cat(errs).mean():.4f}")


if __name__ == "__main__":
    main()

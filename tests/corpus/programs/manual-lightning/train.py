import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
import lightning as L

L.seed_everything(7)


def make_data(n):
    x = torch.randn(n, 20)
    w = torch.linspace(-1, 1, 20)
    y = ((x @ w + 0.5 * x[:, 0] * x[:, 1]) > 0).long()
    return TensorDataset(x, y)


class Net(L.LightningModule):
    def __init__(self, hidden=64, lr=0.02):
        super().__init__()
        self.automatic_optimization = False
        self.lr = lr
        self.net = nn.Sequential(
            nn.Linear(20, hidden), nn.ReLU(),
            nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, 2),
        )

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        opt = self.optimizers()
        loss = F.cross_entropy(self(x), y)
        opt.zero_grad()
        self.manual_backward(loss)
        opt.step()
        self.log("train_loss", loss, on_epoch=True, on_step=False)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        out = self(x)
        self.log("val_loss", F.cross_entropy(out, y))
        self.log("val_acc", (out.argmax(1) == y).float().mean())

    def on_validation_epoch_end(self):
        m = self.trainer.callback_metrics
        print({k: round(float(v), 4) for k, v in m.items()})

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)


if __name__ == "__main__":
    train = DataLoader(make_data(4000), batch_size=64, shuffle=True)
    val = DataLoader(make_data(1000), batch_size=250)
    trainer = L.Trainer(max_epochs=5, accelerator="cpu", logger=False,
                        enable_checkpointing=False, enable_progress_bar=False)
    trainer.fit(Net(), train, val)

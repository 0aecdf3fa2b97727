import lightning as L
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset, random_split


class HousePrices(L.LightningModule):
    """Quantile regression: predicts the 10/50/90 percentiles of a noisy target."""

    def __init__(self, n_features=6, lr=1e-2, total_steps=300):
        super().__init__()
        self.save_hyperparameters()
        self.register_buffer("taus", torch.tensor([0.1, 0.5, 0.9]))
        self.net = nn.Sequential(nn.Linear(n_features, 64), nn.SiLU(),
                                 nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 3))

    def forward(self, x):
        return self.net(x)

    def pinball(self, q, y):
        err = y - q  # (B,1) - (B,3): one column per quantile
        return torch.maximum(self.taus * err, (self.taus - 1) * err).mean()

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.pinball(self(x), y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        q = self(x)
        self.log("val_loss", self.pinball(q, y), prog_bar=True)
        inside = ((y >= q[:, :1]) & (y <= q[:, 2:])).float().mean()
        self.log("val_coverage", inside, prog_bar=True)

    def configure_optimizers(self):
        opt = torch.optim.AdamW(self.parameters(), lr=self.hparams.lr / 10)
        sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=self.hparams.lr,
                                                    total_steps=self.hparams.total_steps)
        return {"optimizer": opt, "lr_scheduler": {"scheduler": sched, "interval": "step"}}


def main():
    L.seed_everything(11)
    x = torch.randn(2400, 6)
    scale = 0.2 + 0.4 * torch.sigmoid(x[:, :1])
    y = torch.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:3] * 0.5 + 0.3 * x[:, 3:4] + scale * torch.randn(2400, 1)
    train, val = random_split(TensorDataset(x, y), [1920, 480])
    train_dl = DataLoader(train, batch_size=64, shuffle=True)
    val_dl = DataLoader(val, batch_size=240)
    epochs = 10
    model = HousePrices(total_steps=epochs * len(train_dl))
    trainer = L.Trainer(max_epochs=epochs, accelerator="cpu", logger=False,
                        enable_checkpointing=False, enable_progress_bar=False)
    trainer.fit(model, train_dl, val_dl)
    print({k: float(v) for k, v in trainer.callback_metrics.items()})


if __name__ == "__main__":
    main()

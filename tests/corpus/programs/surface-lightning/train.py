import logging
import warnings

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Sines(L.LightningDataModule):
    def setup(self, stage=None):
        g = torch.Generator().manual_seed(3)
        x = torch.rand(1500, 3, generator=g) * 4 - 2
        y = torch.sin(2 * x[:, :1]) * x[:, 1:2] + torch.cos(3 * x[:, 2:]) + 0.1 * torch.randn(1500, 1, generator=g)
        self.tr, self.va = TensorDataset(x[:1200], y[:1200]), TensorDataset(x[1200:], y[1200:])

    def train_dataloader(self):
        return DataLoader(self.tr, batch_size=30, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.va, batch_size=300)


class SurfaceFit(L.LightningModule):
    def __init__(self, lr=0.05):
        super().__init__()
        self.lr = lr
        self.f = nn.Sequential(nn.Linear(3, 96), nn.Tanh(), nn.Linear(96, 96), nn.Tanh(), nn.Linear(96, 1))
        self.log_rows = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = nn.functional.mse_loss(self.f(x), y)
        self.log_rows.append(loss.detach())
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        v = nn.functional.mse_loss(self.f(x), y)
        lr = self.trainer.optimizers[0].param_groups[0]["lr"]
        print(f"epoch {self.current_epoch:2d} lr {lr:.5f} train {torch.stack(self.log_rows).mean():.4f} val {v:.4f}")
        self.log_rows = []

    def configure_optimizers(self):
        opt = torch.optim.Adam(self.parameters(), lr=self.lr)
        sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=self.trainer.max_epochs)
        return {"optimizer": opt, "lr_scheduler": {"scheduler": sched, "interval": "epoch"}}


L.seed_everything(3, verbose=False)
L.Trainer(max_epochs=15, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
          enable_model_summary=False, num_sanity_val_steps=0).fit(SurfaceFit(), datamodule=Sines())

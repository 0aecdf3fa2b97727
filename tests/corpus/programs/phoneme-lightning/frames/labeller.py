import lightning as L
import torch
import torch.nn.functional as F

from frames.data import FEATURES, SOUNDS
from frames.network import FrameNet


class FrameLabeller(L.LightningModule):
    def __init__(self, steps, hidden=40, lr=8e-3, dropout=0.3):
        super().__init__()
        self.steps, self.lr = steps, lr
        self.net = FrameNet(FEATURES, hidden, SOUNDS, dropout)
        self.train_losses, self.hits = [], []

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x).flatten(0, 1), y.flatten())
        self.train_losses.append(loss.detach())
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.hits.append((self(x).argmax(-1) == y).float().mean())

    def on_validation_epoch_end(self):
        lr = self.trainer.optimizers[0].param_groups[0]["lr"]
        train = torch.stack(self.train_losses).mean()
        print(f"epoch {self.current_epoch} lr {lr:.5f} train {train:.4f} val acc {torch.stack(self.hits).mean():.4f}")
        self.train_losses, self.hits = [], []

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=self.lr, total_steps=self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

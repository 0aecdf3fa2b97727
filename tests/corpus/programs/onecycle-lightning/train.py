import torch
import torch.nn as nn
import lightning as L
from torch.utils.data import DataLoader, TensorDataset

L.seed_everything(13, workers=True)


def waves(n):
    t = torch.linspace(0, 1, 32)
    f = torch.randint(1, 5, (n, 1))
    x = torch.sin(2 * torch.pi * (f * t + torch.rand(n, 1))) + 0.4 * torch.randn(n, 32)
    return TensorDataset(x, f.squeeze(1) - 1)


class WaveModule(L.LightningModule):
    def __init__(self, max_lr=5e-3):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(32, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2),
                                 nn.Linear(64, 4))
        self.loss = nn.CrossEntropyLoss()

    def training_step(self, batch, _):
        x, y = batch
        loss = self.loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, _):
        x, y = batch
        out = self.net(x)
        self.log("val_loss", self.loss(out, y))
        self.log("val_acc", (out.argmax(-1) == y).float().mean())

    def on_train_epoch_end(self):
        m = self.trainer.callback_metrics
        print(self.current_epoch, {k: round(v.item(), 4) for k, v in m.items()})

    def configure_optimizers(self):
        opt = torch.optim.AdamW(self.parameters(), lr=self.hparams.max_lr)
        sched = torch.optim.lr_scheduler.OneCycleLR(
            opt, max_lr=self.hparams.max_lr,
            total_steps=self.trainer.estimated_stepping_batches)
        return {"optimizer": opt, "lr_scheduler": {"scheduler": sched, "interval": "step"}}


if __name__ == "__main__":
    train = DataLoader(waves(4000), batch_size=64, shuffle=True, drop_last=True)
    val = DataLoader(waves(1000), batch_size=200)
    trainer = L.Trainer(max_epochs=6, accelerator="cpu", gradient_clip_val=1.0, logger=False,
                        enable_checkpointing=False, enable_progress_bar=False,
                        num_sanity_val_steps=0)
    trainer.fit(WaveModule(), train, val)

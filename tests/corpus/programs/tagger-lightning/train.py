import logging
import warnings

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

TAGS = 15


def make_split(n, seed):
    g = torch.Generator().manual_seed(seed)
    proj = torch.randn(30, TAGS, generator=torch.Generator().manual_seed(99))
    x = torch.randn(n, 30, generator=g)
    y = (torch.tanh(x) @ proj + 0.5 * torch.randn(n, TAGS, generator=g) > 4.0).float()
    return TensorDataset(x, y)


class TagHead(nn.Module):
    def __init__(self, d, n):
        super().__init__()
        self.lin = nn.Linear(d, n)

    def forward(self, h):
        return self.lin(h)


class Tagger(L.LightningModule):
    def __init__(self, width=96, lr=2e-3):
        super().__init__()
        self.save_hyperparameters()
        self.trunk = nn.Sequential(nn.Linear(30, width), nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.tags = TagHead(width, TAGS)
        self.objective = nn.BCEWithLogitsLoss()
        self.buffer_loss = []

    def forward(self, x):
        return self.tags(self.trunk(x))

    def training_step(self, batch, _):
        x, y = batch
        loss = self.objective(self(x), y)
        self.buffer_loss.append(loss.detach())
        return loss

    def on_validation_epoch_start(self):
        self.seen = []

    def validation_step(self, batch, _):
        x, y = batch
        out = self(x)
        self.seen.append((self.objective(out, y), (out > 0).float(), y))

    def on_validation_epoch_end(self):
        loss = torch.stack([s[0] for s in self.seen]).mean()
        p = torch.cat([s[1] for s in self.seen])
        y = torch.cat([s[2] for s in self.seen])
        f1 = 2 * (p * y).sum() / (p.sum() + y.sum()).clamp(min=1)
        tr = torch.stack(self.buffer_loss).mean().item() if self.buffer_loss else float("nan")
        self.buffer_loss.clear()
        print(f"epoch {self.current_epoch} train {tr:.4f} val {loss:.4f} f1 {f1:.3f}")

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)


if __name__ == "__main__":
    L.seed_everything(5, verbose=False)
    trainer = L.Trainer(max_epochs=10, accelerator="cpu", logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)
    trainer.fit(Tagger(), DataLoader(make_split(2500, 1), 64, shuffle=True), DataLoader(make_split(500, 2), 250))

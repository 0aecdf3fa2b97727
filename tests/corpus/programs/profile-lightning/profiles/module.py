import lightning as L
import torch

from profiles.data import HOURS
from profiles.parts import Decoder, Encoder, sample


class ProfileVAE(L.LightningModule):
    def __init__(self, hidden=96, latent=6, beta=0.5, lr=2e-3):
        super().__init__()
        self.save_hyperparameters()
        self.encoder, self.decoder = Encoder(HOURS, hidden, latent), Decoder(HOURS, hidden, latent)
        self.seen = []

    def forward(self, x):
        mean, logvar = self.encoder(x)
        z = sample(mean, logvar) if self.training else mean
        return self.decoder(z), mean, logvar

    def losses(self, x):
        out, mean, logvar = self(x)
        rec = (out - x).pow(2).sum(1).mean()
        kl = 0.5 * (mean.pow(2) + logvar.exp() - 1 - logvar).sum(1).mean()
        return rec, kl

    def training_step(self, batch, batch_idx):
        rec, kl = self.losses(batch)
        self.seen.append(rec.detach())
        return rec + self.hparams.beta * kl

    def on_validation_epoch_start(self):
        self.val_rec = []

    def validation_step(self, batch, batch_idx):
        self.val_rec.append(self.losses(batch)[0])

    def on_validation_epoch_end(self):
        train = torch.stack(self.seen).mean() if self.seen else float("nan")
        self.seen = []
        print(f"epoch {self.current_epoch} train rec {train:.4f} val rec {torch.stack(self.val_rec).mean():.4f}")

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)

"""Variational autoencoder of daily load profiles (Lightning)."""
import lightning as L

from profiles.data import ProfileData
from profiles.module import ProfileVAE

if __name__ == "__main__":
    L.seed_everything(19, verbose=False)
    trainer = L.Trainer(
        max_epochs=12, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, gradient_clip_val=5.0,
    )
    trainer.fit(ProfileVAE(), datamodule=ProfileData(batch=64))

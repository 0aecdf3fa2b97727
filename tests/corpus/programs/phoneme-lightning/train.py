"""Frame labelling of made-up speech with a small recurrent network (Lightning)."""
import logging

import lightning as L

from frames.data import FrameData
from frames.labeller import FrameLabeller

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

if __name__ == "__main__":
    L.seed_everything(2, verbose=False)
    data = FrameData(n_train=500, n_val=120, batch=25)
    trainer = L.Trainer(
        max_epochs=8, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, gradient_clip_val=1.0,
    )
    trainer.fit(FrameLabeller(steps=8 * 20), datamodule=data)

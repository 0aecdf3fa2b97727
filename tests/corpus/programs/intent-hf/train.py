"""Intent classification with a small BERT that is first pretrained on unlabelled utterances."""
import tempfile
from pathlib import Path

from transformers import set_seed
from transformers.utils import logging

from intents.finetune import finetune
from intents.pretrain import pretrain

if __name__ == "__main__":
    logging.set_verbosity_error()
    set_seed(8)
    folder = Path(tempfile.mkdtemp())
    pretrain(folder / "base", steps=140)
    finetune(folder / "base", folder / "out", epochs=5)

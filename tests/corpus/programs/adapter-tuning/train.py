"""Pretrain an encoder on one labelling, then adapt it to another with low-rank adapters."""
import torch

from adapters.data import labelled
from adapters.encoder import Encoder
from adapters.lora import add_adapters, freeze_base
from adapters.trainer import Trainer

SEED, CLASSES = 21, 5


def main():
    torch.manual_seed(SEED)
    model = Encoder(vocab=30, width=48, depth=2, classes=CLASSES)
    Trainer(model, lr=2e-3, name="pretraining").fit(labelled(1500, 1, shift=0), labelled(300, 2, shift=0), epochs=5)

    freeze_base(model)
    add_adapters(model, rank=4)
    model.new_head(CLASSES)
    trainable = [n for n, p in model.named_parameters() if p.requires_grad]
    print(f"{len(trainable)} trainable tensors")
    tuner = Trainer(model, lr=5e-3, name="new task", checkpointing=True)
    tuner.fit(labelled(900, 3, shift=7), labelled(300, 4, shift=7), epochs=7)


if __name__ == "__main__":
    main()

"""Instruction tuning of a small decoder on a made-up command language."""
import random

import torch

from sft.config import TrainConfig
from sft.data import Collator, make_examples
from sft.evaluate import exact_match
from sft.model import Decoder
from sft.tokenizer import CharTokenizer
from sft.trainer import Trainer


def main():
    cfg = TrainConfig()
    random.seed(cfg.seed)
    torch.manual_seed(cfg.seed)
    tokenizer = CharTokenizer()
    train, held_out = make_examples(2600, seed=1), make_examples(200, seed=2)
    model = Decoder(len(tokenizer), cfg.width, cfg.heads, cfg.layers, cfg.context)
    trainer = Trainer(model, tokenizer, cfg)
    trainer.fit(train, Collator(tokenizer, cfg.max_length), held_out)
    print(f"final exact {exact_match(model, tokenizer, held_out, cfg):.3f}")


if __name__ == "__main__":
    main()

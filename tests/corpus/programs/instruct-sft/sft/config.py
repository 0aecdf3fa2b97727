from dataclasses import dataclass


@dataclass
class TrainConfig:
    seed: int = 7
    width: int = 48
    heads: int = 4
    layers: int = 2
    context: int = 40
    max_length: int = 32
    batch_size: int = 64
    lr: float = 4e-3
    warmup: int = 30
    epochs: int = 5
    clip: float = 1.0

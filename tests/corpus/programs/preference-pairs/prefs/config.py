from dataclasses import dataclass


@dataclass
class Config:
    vocab: int = 20
    width: int = 48
    batch: int = 48
    pretrain_lr: float = 4e-3
    pretrain_steps: int = 160
    lr: float = 1e-3
    beta: float = 0.1
    steps: int = 120
    seed: int = 9

from dataclasses import dataclass


@dataclass
class Settings:
    seed: int = 13
    hours: int = 2600
    window: int = 24
    ahead: int = 3
    hidden: int = 64
    batch: int = 64
    lr: float = 0.03
    momentum: float = 0.9
    epochs: int = 12

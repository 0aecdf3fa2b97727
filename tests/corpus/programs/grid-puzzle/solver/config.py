from dataclasses import dataclass


@dataclass
class Options:
    seed: int = 12
    length: int = 10
    symbols: int = 8
    width: int = 48
    max_rounds: int = 6
    epsilon: float = 0.02
    cost: float = 0.01
    lr: float = 3e-3
    batch: int = 64
    steps: int = 210

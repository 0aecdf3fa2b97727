"""Which of four parts of a machine is about to fail?  Readings come from three plants."""
import torch

from plants.config import load_config
from plants.data import plant_split
from plants.model import FaultNet
from plants.trainer import Trainer


def main():
    cfg = load_config()
    torch.manual_seed(cfg["seed"])
    train, val = plant_split(cfg)
    trainer = Trainer(FaultNet(cfg), cfg)
    trainer.fit(train, val)


if __name__ == "__main__":
    main()

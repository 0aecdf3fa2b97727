"""Forecast three sensors a few hours ahead from a window of the last day."""
import torch

from forecast.config import Settings
from forecast.dataset import build_loaders
from forecast.engine import Engine
from forecast.network import WindowNet


def main():
    settings = Settings()
    torch.manual_seed(settings.seed)
    loaders, scaler = build_loaders(settings)
    engine = Engine(WindowNet(settings), loaders, scaler, settings)
    engine.fit()
    print(f"best epoch {engine.best_epoch}, test mae {engine.test():.4f}")


if __name__ == "__main__":
    main()

"""Tiles are rendered while they are loaded; two loader processes."""
import torch
from torch.utils.data import DataLoader

from tiles.dataset import RenderedTiles, fixed_tiles
from tiles.fit import Fit
from tiles.net import TileNet

if __name__ == "__main__":
    torch.manual_seed(17)
    train = DataLoader(RenderedTiles(per_epoch=320, noise=2.2), batch_size=32, num_workers=2)
    fit = Fit(TileNet(), train, fixed_tiles(500, noise=2.2), lr=2e-3)
    fit.run(epochs=9)

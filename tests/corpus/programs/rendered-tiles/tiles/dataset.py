import numpy as np
import torch
from torch.utils.data import Dataset

SIZE, KINDS = 10, 8


def pattern(kind, dy, dx):
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    y, x = y + dy, x + dx
    ideas = [y % 2, x % 2, (x + y) % 2, y // 2 % 2, x // 2 % 2, (x + y) // 2 % 2, (x - y) // 2 % 2, (x * y) % 2]
    return ideas[kind].astype("float32") * 2 - 1


def render(rng, noise):
    kind = int(rng.integers(KINDS))
    image = pattern(kind, int(rng.integers(4)), int(rng.integers(4)))
    image = image + noise * rng.standard_normal((SIZE, SIZE)).astype("float32")
    return torch.from_numpy(image[None]), kind


class RenderedTiles(Dataset):
    def __init__(self, per_epoch, noise):
        self.per_epoch, self.noise = per_epoch, noise
        self.rng = None

    def __len__(self):
        return self.per_epoch

    def __getitem__(self, i):
        if self.rng is None:
            self.rng = np.random.default_rng(torch.initial_seed())
        return render(self.rng, self.noise)


def fixed_tiles(n, noise):
    rng = np.random.default_rng(1234)
    images, kinds = zip(*(render(rng, noise) for _ in range(n)))
    return torch.stack(images), torch.tensor(kinds)

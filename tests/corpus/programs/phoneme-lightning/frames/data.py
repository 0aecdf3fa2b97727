import lightning as L
import torch
from torch.utils.data import DataLoader, TensorDataset

SOUNDS, FEATURES, LENGTH = 10, 8, 20


def speech(n, seed):
    """Each frame is noisy; a sound lasts for some frames, so neighbours help."""
    g = torch.Generator().manual_seed(seed)
    voice = torch.randn(SOUNDS, FEATURES, generator=torch.Generator().manual_seed(42))
    labels = torch.randint(SOUNDS, (n, LENGTH), generator=g)
    for t in range(1, LENGTH):
        stay = torch.rand(n, generator=g) < 0.8
        labels[:, t] = torch.where(stay, labels[:, t - 1], labels[:, t])
    return voice[labels] + 1.6 * torch.randn(n, LENGTH, FEATURES, generator=g), labels


class FrameData(L.LightningDataModule):
    def __init__(self, n_train, n_val, batch):
        super().__init__()
        self.batch = batch
        self.train, self.val = TensorDataset(*speech(n_train, 1)), TensorDataset(*speech(n_val, 2))

    def train_dataloader(self):
        return DataLoader(self.train, batch_size=self.batch, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.val, batch_size=60)

import torch.nn.functional as F
from torch import nn


class TileNet(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.c1 = nn.Conv2d(1, width, 3, padding=1)
        self.c2 = nn.Conv2d(width, width, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(width * 25, 64), nn.Linear(64, 8)

    def forward(self, x):
        x = F.relu(self.c1(x))
        x = F.max_pool2d(F.relu(self.c2(x)), 2)
        x = F.dropout(x.flatten(1), 0.5, training=self.training)
        return self.fc2(F.relu(self.fc1(x)))

import torch
import torch.nn.functional as F

from plants.data import KINDS
from plants.metrics import macro_recall


class Trainer:
    def __init__(self, model, cfg):
        self.model, self.cfg = model, cfg
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=cfg["lr"], weight_decay=0.02)

    def train_epoch(self, x, y):
        self.model.train()
        total = 0.0
        for rows in torch.randperm(len(x)).split(self.cfg["batch"]):
            loss = F.cross_entropy(self.model(x[rows]), y[rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(rows)
        return total / len(x)

    @torch.no_grad()
    def validate(self, x, y):
        self.model.eval()
        logits = self.model(x)
        return F.cross_entropy(logits, y).item(), macro_recall(logits.argmax(1), y, KINDS)

    def fit(self, train, val):
        for epoch in range(self.cfg["epochs"]):
            loss = self.train_epoch(*train)
            val_loss, recall = self.validate(*val)
            print(f"epoch {epoch:2d} train {loss:.4f} val {val_loss:.4f} recall {recall:.3f}")

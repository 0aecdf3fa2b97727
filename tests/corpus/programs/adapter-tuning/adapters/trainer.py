import torch
import torch.nn.functional as F


class Trainer:
    def __init__(self, model, lr, name, checkpointing=False, batch=50):
        self.model, self.name, self.batch = model, name, batch
        model.checkpointing = checkpointing
        self.optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr)

    def fit(self, train, val, epochs):
        ids, labels = train
        for epoch in range(epochs):
            self.model.train()
            total = 0.0
            for rows in torch.randperm(len(ids)).split(self.batch):
                loss = F.cross_entropy(self.model(ids[rows]), labels[rows])
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                total += loss.item() * len(rows)
            print(f"{self.name} epoch {epoch}: loss {total / len(ids):.4f} {self.name} acc {self.accuracy(*val):.3f}")

    @torch.no_grad()
    def accuracy(self, ids, labels):
        self.model.eval()
        return (self.model(ids).argmax(1) == labels).float().mean().item()

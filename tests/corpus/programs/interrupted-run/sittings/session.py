import torch
from torch.nn.functional import mse_loss


class Session:
    def __init__(self, model, optimizer, scheduler, data, holdout):
        self.model, self.optimizer, self.scheduler = model, optimizer, scheduler
        self.data, self.holdout = data, holdout

    def run(self, first, last):
        self.model.train()
        for step in range(first, last):
            x, y = self.data.next()
            loss = mse_loss(self.model(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if self.scheduler.last_epoch < self.scheduler.total_steps - 1:
                self.scheduler.step()
            if step % 50 == 0:
                print(f"step {step} loss {loss.item():.5f} end val {self.validate():.5f}")

    @torch.no_grad()
    def validate(self):
        x, y = self.holdout
        self.model.eval()
        value = mse_loss(self.model(x), y).item()
        self.model.train()
        return value

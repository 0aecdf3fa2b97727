import random

import torch

from sft.evaluate import exact_match


class Trainer:
    def __init__(self, model, tokenizer, cfg):
        self.model, self.tokenizer, self.cfg = model, tokenizer, cfg
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=cfg.lr, weight_decay=0.01)
        self.step = 0

    def train_step(self, batch):
        for group in self.optimizer.param_groups:
            group["lr"] = self.cfg.lr * min(1.0, (self.step + 1) / self.cfg.warmup)
        _, loss = self.model(**batch)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.cfg.clip)
        self.optimizer.step()
        self.step += 1
        return loss.item()

    def fit(self, train, collate, held_out):
        for epoch in range(self.cfg.epochs):
            self.model.train()
            random.shuffle(train)
            total = 0.0
            starts = range(0, len(train), self.cfg.batch_size)
            for i in starts:
                total += self.train_step(collate(train[i : i + self.cfg.batch_size]))
            print(f"epoch {epoch} loss {total / len(starts):.4f} exact {exact_match(self.model, self.tokenizer, held_out, self.cfg, 16):.3f}")

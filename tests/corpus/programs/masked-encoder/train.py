"""Masked-token encoder with linear warm-up and cosine decay."""
import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


@dataclass
class TrainingArguments:
    num_train_epochs: int = 4
    per_device_batch_size: int = 40
    learning_rate: float = 1e-3
    warmup_ratio: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    logging_steps: int = 40
    seed: int = 13


def periodic_rows(n, seed, vocab=24, length=16):
    # rows with period 4, some positions hidden (id 0); recover them
    g = torch.Generator().manual_seed(seed)
    unit = torch.randint(1, vocab, (n, 4), generator=g)
    clean = unit.repeat(1, length // 4)
    hide = torch.rand(n, length, generator=g) < 0.25
    labels = torch.where(hide, clean, torch.full_like(clean, -100))
    return TensorDataset(torch.where(hide, torch.zeros_like(clean), clean), labels)


class MaskedEncoder(nn.Module):
    def __init__(self, vocab=24, length=16, d=48):
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab, d), nn.Embedding(length, d)
        layer = nn.TransformerEncoderLayer(d, 4, 4 * d, 0.0, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(d), enable_nested_tensor=False)
        self.lm_head = nn.Linear(d, vocab)

    def forward(self, ids, labels):
        logits = self.lm_head(self.encoder(self.tok(ids) + self.pos.weight))
        return F.cross_entropy(logits.transpose(1, 2), labels), logits


def get_cosine_schedule(optimizer, num_warmup_steps, num_training_steps):
    def factor(step):
        if step < num_warmup_steps:
            return step / max(1, num_warmup_steps)
        progress = (step - num_warmup_steps) / max(1, num_training_steps - num_warmup_steps)
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * progress)))
    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def train(args):
    torch.manual_seed(args.seed)
    train_set, dev_set = periodic_rows(2400, 0), periodic_rows(400, 1)
    loader = DataLoader(train_set, batch_size=args.per_device_batch_size, shuffle=True)
    model = MaskedEncoder()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate, weight_decay=args.weight_decay)
    t_total = len(loader) * args.num_train_epochs
    scheduler = get_cosine_schedule(optimizer, int(args.warmup_ratio * t_total), t_total)

    global_step = 0
    for epoch in range(args.num_train_epochs):
        model.train()
        for ids, labels in loader:
            loss, _ = model(ids, labels)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), args.max_grad_norm)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            global_step += 1
            if global_step % args.logging_steps == 0:
                print({"step": global_step, "loss": round(loss.item(), 4), "learning_rate": scheduler.get_last_lr()[0]})
        model.eval()
        with torch.no_grad():
            ids, labels = dev_set.tensors
            loss, logits = model(ids, labels)
            m = labels != -100
            print({"epoch": epoch + 1, "eval_loss": round(loss.item(), 4), "eval_acc": round((logits.argmax(-1) == labels)[m].float().mean().item(), 4)})


if __name__ == "__main__":
    train(TrainingArguments())

"""Train the recursive transformer on text.

    python train.py [--dataset NAME] [--steps N]
"""

import argparse
import math

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from model import Config, RecursiveTransformer

try:
    from datasets import load_dataset
except ImportError:
    load_dataset = None


def load_texts(name):
    """Training and validation texts, by the name of a data set or from what Python ships with."""
    if name and load_dataset is not None:
        return list(load_dataset(name, split="train")["text"]), list(load_dataset(name, split="validation")["text"])
    if load_dataset is None:
        print("datasets library not available, using the standard library's documentation")
    from datasets import documentation_strings

    texts = documentation_strings(200_000)
    return [text for i, text in enumerate(texts) if i % 10], texts[::10]


def build_data(name, length, batch_size):
    from datasets import Windows

    train, held_out = load_texts(name)
    train, held_out = Windows(train, length), Windows(held_out, length)
    return {
        "train": DataLoader(train, batch_size, shuffle=True, drop_last=True),
        "validation": DataLoader(held_out, batch_size),
    }


class EarlyStopping:
    def __init__(self, patience, min_delta=1e-3):
        self.patience, self.min_delta = patience, min_delta
        self.best, self.waited = math.inf, 0

    def should_stop(self, value):
        if value < self.best - self.min_delta:
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        return self.waited >= self.patience


class Trainer:
    def __init__(self, model, data, steps, lr=3e-3, warmup=20, clip=1.0, evaluate_every=40):
        self.model, self.data, self.steps = model, data, steps
        self.clip, self.evaluate_every = clip, evaluate_every
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            lambda step: min(1.0, (step + 1) / warmup) * (0.55 + 0.45 * math.cos(math.pi * min(1.0, step / steps))),
        )
        self.early_stopping = EarlyStopping(patience=10)

    def batches(self):
        while True:
            yield from self.data["train"]

    def training_step(self, tokens, targets):
        self.model.train()
        self.optimizer.zero_grad()
        logits, steps = self.model(tokens)
        loss = F.cross_entropy(logits.reshape(-1, logits.size(-1)), targets.reshape(-1))
        total = loss + self.model.act.ponder_loss(steps)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        self.scheduler.step()
        return loss.item(), float(norm), steps.float()

    @torch.no_grad()
    def validate(self):
        loader = self.data.get("val")
        if loader is None:
            return 2.5
        self.model.eval()
        total, count = 0.0, 0
        for tokens, targets in loader:
            logits, _ = self.model(tokens)
            total += F.cross_entropy(logits.reshape(-1, logits.size(-1)), targets.reshape(-1), reduction="sum").item()
            count += targets.numel()
        return total / count

    def fit(self):
        first = None
        recent = []
        for step, (tokens, targets) in zip(range(1, self.steps + 1), self.batches()):
            loss, norm, thought = self.training_step(tokens, targets)
            first = loss if first is None else first
            recent.append(loss)
            if step % self.evaluate_every:
                continue
            val_loss = self.validate()
            train_loss = sum(recent) / len(recent)
            recent.clear()
            print(
                f"step {step}/{self.steps} | train loss {train_loss:.4f} | val loss {val_loss:.4f} | grad norm {norm:.2f} "
                f"| ACT steps mean {thought.mean():.2f} std {thought.std():.2f}",
                flush=True,
            )
            if self.early_stopping.should_stop(val_loss):
                print(f"early stopping at step {step}")
                break
        print(f"Training: {step} steps completed")
        print(f"Loss: {first:.2f} -> {train_loss:.2f}")
        print(f"ACT halting: {thought.mean():.1f} (working)")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dataset", help="a data set of the datasets library with a text column")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    config = Config()
    model = RecursiveTransformer(config)
    print(f"Model: {sum(p.numel() for p in model.parameters()):,} params")
    data = build_data(args.dataset, config.length, args.batch_size)
    Trainer(model, data, args.steps).fit()


if __name__ == "__main__":
    main()

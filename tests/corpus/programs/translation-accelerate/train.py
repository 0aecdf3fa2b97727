"""Translate between two made-up number systems; accumulation and scheduling by accelerate."""
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader

from numerals.data import Numerals, PAD
from numerals.evaluate import exact
from numerals.model import Translator
from numerals.schedule import warmup_cosine


def main(epochs=2, accumulate=2, lr=4e-3):
    set_seed(14)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulate)
    train = DataLoader(Numerals(3200, seed=1), batch_size=32, shuffle=True)
    held_out = Numerals(200, seed=2)
    model = Translator()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    updates = epochs * len(train) // accumulate
    scheduler = warmup_cosine(optimizer, updates, warmup=20)
    model, optimizer, train, scheduler = accelerator.prepare(model, optimizer, train, scheduler)
    loss_fn = torch.nn.CrossEntropyLoss(ignore_index=PAD)
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for source, target in train:
            with accelerator.accumulate(model):
                logits = model(source, target[:, :-1])
                loss = loss_fn(logits.flatten(0, 1), target[:, 1:].flatten())
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
            total += loss.item()
        rate = scheduler.get_last_lr()[0]
        accelerator.print(f"epoch {epoch} lr {rate:.2e} loss {total / len(train):.4f} exact {exact(model, held_out):.3f}")


if __name__ == "__main__":
    main()

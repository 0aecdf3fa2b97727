"""One small network trained by several loops: `python -m trainers.loops ours|plain|…`.

All take the same steps: batches of BATCH rows in a shuffled order, the same fused AdamW, warm-up and cosine, clipping by global
norm, loss and learning rate logged every LOG_EVERY steps; no evaluation and no checkpoint inside what is timed. The network
itself reads the clock at each forward pass, so that all that a loop does between two of them is counted. `plain` picks its rows
by index, the least that a loop can do; the libraries, and `plain with DataLoader`, use a DataLoader that fetches whole batches.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset

from trainers.worker import memory, serve

ROWS, FEATURES, WIDTH, CLASSES = 8_192, 64, 256, 10
BATCH, LOG_EVERY, SETTLED = 64, 50, 50  # the first SETTLED steps of a run are not timed
RATE, CLIP, DECAY, BETAS = 3e-4, 1.0, 0.1, (0.9, 0.95)


class Net(nn.Module):
    """An MLP that notes the CPU time at which each forward pass begins."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Linear(FEATURES, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, CLASSES)
        )
        self.clock: list[float] = []

    def forward(self, inputs: Tensor, labels: Tensor, reduction: str = "mean") -> dict[str, Tensor]:
        """The loss over `inputs` (B, FEATURES) and `labels` (B)."""
        self.clock.append(time.process_time())
        return {"loss": F.cross_entropy(self.layers(inputs), labels, reduction=reduction)}


class Table(Dataset[dict[str, Tensor]]):
    """Rows in memory."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        self.inputs = torch.randn(ROWS, FEATURES, generator=generator)
        self.labels = (self.inputs @ torch.randn(FEATURES, CLASSES, generator=generator)).argmax(-1)

    def __len__(self) -> int:
        return ROWS

    def batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The rows at `indices`."""
        chosen = torch.from_numpy(np.array(indices))  # a fifth of the time of torch.tensor
        return {"inputs": self.inputs[chosen], "labels": self.labels[chosen]}

    __getitems__ = batch  # what DataLoader asks for where it is there
    __getitem__ = batch


def whole(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The collation of what is a batch already."""
    return batch


def loader(table: Table) -> DataLoader[dict[str, Tensor]]:
    """Shuffled batches."""
    return DataLoader(table, BATCH, shuffle=True, drop_last=True, collate_fn=whole)


def endless(batches: DataLoader[dict[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    """One epoch after the other."""
    while True:
        yield from batches


def adamw(net: nn.Module, steps: int) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """Decay on matrices only; linear warm-up over a tenth of the steps, then a cosine."""
    matrices = [parameter for parameter in net.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in net.parameters() if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=BETAS, fused=True)
    warmup = max(1, steps // 10)
    return optimizer, LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, 0.55 + 0.45 * math.cos(math.pi * min(1.0, step / steps)))
    )


def train_plain(net: Net, batches: Iterator[dict[str, Tensor]], steps: int, folder: Path) -> None:
    optimizer, schedule = adamw(net, steps)
    with (folder / "log.jsonl").open("w") as log:
        for step in range(1, steps + 1):
            loss = net(**next(batches))["loss"]
            loss.backward()
            norm = nn.utils.clip_grad_norm_(net.parameters(), CLIP)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            if step % LOG_EVERY == 0:
                line = {"step": step, "loss": loss.item(), "grad_norm": norm.item(), "lr": schedule.get_last_lr()[0]}
                print(json.dumps(line), file=log, flush=True)
                print(line)


def by_index(table: Table) -> Iterator[dict[str, Tensor]]:
    """Shuffled batches, in the plainest way."""
    while True:
        order = torch.randperm(ROWS)
        for start in range(0, ROWS, BATCH):
            chosen = order[start : start + BATCH]
            yield {"inputs": table.inputs[chosen], "labels": table.labels[chosen]}


def plain(net: Net, table: Table, steps: int, folder: Path) -> None:
    train_plain(net, by_index(table), steps, folder)


def plain_with_loader(net: Net, table: Table, steps: int, folder: Path) -> None:
    train_plain(net, endless(loader(table)), steps, folder)


class Classification:
    """The task that `fit` asks for."""

    shown: Sequence[str] = ()

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Summed over the rows."""
        return model(**batch, reduction="sum")["loss"], {}

    def weight(self, batch: dict[str, Tensor]) -> int:
        """Rows."""
        return len(batch["labels"])

    @torch.no_grad()
    def evaluate(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The loss alone."""
        return {"loss": self.loss(model, batch)[0]}


def ours(net: Net, table: Table, steps: int, folder: Path) -> None:
    from cognate.train.loop import fit
    from cognate.train.options import TrainOptions

    options = TrainOptions(
        steps=steps,
        micro_batch=BATCH,
        effective_batch=BATCH,
        learning_rate=RATE,
        weight_decay=DECAY,
        betas=BETAS,
        clip_norm=CLIP,
        evaluate_every=0,
        patience=0,
        checkpoint_every=0,
        log_every=LOG_EVERY,
        device="cpu",
    )
    fit(net, Classification(), table, None, options, folder)


def accelerate(net: Net, table: Table, steps: int, folder: Path) -> None:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model, batches, optimizer, schedule = accelerator.prepare(net, loader(table), *adamw(net, steps))
    source = endless(batches)
    with (folder / "log.jsonl").open("w") as log:
        for step in range(1, steps + 1):
            with accelerator.accumulate(model):
                loss = model(**next(source))["loss"]
                accelerator.backward(loss)
                norm = accelerator.clip_grad_norm_(model.parameters(), CLIP)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
            if step % LOG_EVERY == 0:
                line = {"step": step, "loss": loss.item(), "grad_norm": norm.item(), "lr": schedule.get_last_lr()[0]}
                print(json.dumps(line), file=log, flush=True)
                accelerator.print(line)


def huggingface(net: Net, table: Table, steps: int, folder: Path) -> None:
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(
        str(folder),
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        max_grad_norm=CLIP,
        logging_steps=LOG_EVERY,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        dataloader_drop_last=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
    )
    Trainer(net, arguments, data_collator=whole, train_dataset=table, optimizers=adamw(net, steps)).train()


def lightning(net: Net, table: Table, steps: int, folder: Path) -> None:
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.loggers import CSVLogger

    class Wrapped(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def training_step(self, batch: dict[str, Tensor]) -> Tensor:
            loss: Tensor = self.net(**batch)["loss"]
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            optimizer, schedule = adamw(self.net, steps)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=steps,
        max_epochs=-1,
        gradient_clip_val=CLIP,
        log_every_n_steps=LOG_EVERY,
        logger=CSVLogger(folder),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Wrapped(), loader(table))


LOOPS: dict[str, Callable[[Net, Table, int, Path], None]] = {
    "plain": plain,
    "ours": ours,
    "plain with DataLoader": plain_with_loader,
    "accelerate": accelerate,
    "transformers": huggingface,
    "lightning": lightning,
}


def main() -> None:
    """Serve: the question is the number of steps of a whole run."""
    torch.set_num_threads(1)
    train, table = LOOPS[sys.argv[1]], Table()

    def measure(steps: str) -> dict[str, Any]:
        net = Net()
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder, "run")
            run.mkdir()
            train(net, table, int(steps), run)
        clock = net.clock
        seconds = (clock[-1] - clock[SETTLED]) / (len(clock) - 1 - SETTLED)
        return {"seconds": seconds, "first": clock[1], "peak": memory("VmHWM")}

    serve(measure)


if __name__ == "__main__":
    main()

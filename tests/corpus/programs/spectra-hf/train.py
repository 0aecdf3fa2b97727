import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, Subset
from transformers import PrinterCallback, Trainer, TrainingArguments, set_seed

set_seed(12)


class Spectra(Dataset):
    def __init__(self, n):
        r = np.random.RandomState(12)
        self.y = r.randint(0, 5, n)
        peaks = r.rand(5, 4)
        axis = np.linspace(0, 1, 60)
        x = np.zeros((n, 60))
        for j in range(4):
            x += np.exp(-((axis[None] - peaks[self.y, j][:, None]) / 0.03) ** 2) * r.rand(n, 1)
        self.x = (x + 0.9 * r.randn(n, 60)).astype("float32")

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return {"spectrum": self.x[i], "labels": int(self.y[i])}


class SpectrumNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(60, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 5))

    def forward(self, spectrum, labels=None):
        logits = self.net(spectrum)
        loss = nn.functional.cross_entropy(logits, labels) if labels is not None else None
        return {"loss": loss, "logits": logits}


def accuracy(p):
    return {"acc": float((p.predictions.argmax(-1) == p.label_ids).mean())}


full = Spectra(900)
order = np.random.permutation(900)
n_val = 180
val_set = Subset(full, order[:n_val])
train_set = Subset(full, order[n_val:])

args = TrainingArguments(
    output_dir="/tmp/spectra_out", num_train_epochs=12, per_device_train_batch_size=30, per_device_eval_batch_size=90,
    learning_rate=1e-3, lr_scheduler_type="constant", eval_strategy="epoch", logging_strategy="epoch", save_strategy="no",
    report_to="none", disable_tqdm=True, use_cpu=True, seed=12,
)
trainer = Trainer(model=SpectrumNet(), args=args, train_dataset=train_set, eval_dataset=val_set, compute_metrics=accuracy)
trainer.train()
print("final", {k: round(v, 4) for k, v in trainer.evaluate().items() if k in ("eval_loss", "eval_acc")})

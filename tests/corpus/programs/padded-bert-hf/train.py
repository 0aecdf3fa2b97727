"""Sequence classification with a tiny BERT: does token A appear more often than token B?"""
import tempfile

import numpy as np
import torch
from transformers import (BertConfig, BertForSequenceClassification, Trainer,
                          TrainingArguments, set_seed)

PAD, CLS = 0, 1
set_seed(0)


def make_examples(n, seed):
    rng = np.random.default_rng(seed)
    rows = []
    while len(rows) < n:
        length = int(rng.integers(5, 20))
        label = int(rng.integers(0, 2))
        p = np.full(10, 0.06)
        p[2 if label else 3] = 0.46
        toks = rng.choice(np.arange(2, 12), size=length, p=p / p.sum())
        a, b = (toks == 4).sum(), (toks == 5).sum()
        if a == b:
            continue
        rows.append({"input_ids": [CLS] + toks.tolist(), "label": int(a > b)})
    return rows


def collate(batch):
    width = max(len(r["input_ids"]) for r in batch)
    ids = torch.full((len(batch), width), PAD)
    mask = torch.zeros(len(batch), width, dtype=torch.long)
    for i, r in enumerate(batch):
        n = len(r["input_ids"])
        ids[i, :n] = torch.tensor(r["input_ids"])
        mask[i, :n] = 1
    return {"input_ids": ids, "attention_mask": mask,
            "labels": torch.tensor([r["label"] for r in batch])}


def metrics(pred):
    return {"accuracy": float((pred.predictions.argmax(-1) == pred.label_ids).mean())}


config = BertConfig(vocab_size=12, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                    intermediate_size=64, max_position_embeddings=32, pad_token_id=PAD,
                    num_labels=2)
model = BertForSequenceClassification(config)

args = TrainingArguments(output_dir=tempfile.mkdtemp(), num_train_epochs=4,
                         per_device_train_batch_size=32, per_device_eval_batch_size=128,
                         learning_rate=2e-3, lr_scheduler_type="linear", warmup_steps=15,
                         eval_strategy="epoch", save_strategy="no", logging_steps=20,
                         report_to="none", use_cpu=True, remove_unused_columns=False,
                         disable_tqdm=True)
trainer = Trainer(model=model, args=args, train_dataset=make_examples(1500, 1),
                  eval_dataset=make_examples(300, 2), data_collator=collate,
                  compute_metrics=metrics)
trainer.train()
print(trainer.evaluate())

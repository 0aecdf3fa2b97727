"""Token tagging with a small BERT and the HF Trainer."""
import torch
from torch.utils.data import Dataset
from transformers import BertConfig, BertForTokenClassification, Trainer, TrainingArguments, set_seed
from transformers.utils import logging

logging.set_verbosity_error()
set_seed(23)


class Tags(Dataset):
    """Tag depends on the token and on its left neighbour."""

    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.ids = torch.randint(1, 40, (n, 14), generator=g)
        prev = torch.roll(self.ids, 1, dims=1)
        prev[:, 0] = 0
        self.tags = (self.ids % 3) + 3 * (prev % 2)

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, i):
        return dict(input_ids=self.ids[i], attention_mask=torch.ones(14, dtype=torch.long), labels=self.tags[i])


model = BertForTokenClassification(BertConfig(
    vocab_size=40, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
    max_position_embeddings=16, num_labels=6, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))

args = TrainingArguments(
    output_dir="/tmp/tags_out",
    num_train_epochs=6,
    per_device_train_batch_size=32,
    per_device_eval_batch_size=100,
    learning_rate=1e-3,
    lr_scheduler_type="linear",
    warmup_steps=20,
    weight_decay=0.01,
    logging_steps=32,
    eval_strategy="epoch",
    save_strategy="no",
    report_to="none",
    disable_tqdm=True,
    use_cpu=True,
)
trainer = Trainer(
    model=model, args=args, train_dataset=Tags(1024, 1), eval_dataset=Tags(200, 2),
    compute_metrics=lambda p: {"acc": float((p.predictions.argmax(-1) == p.label_ids).mean())},
)
trainer.train()

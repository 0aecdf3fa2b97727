# Tiny GPT-2 trained from scratch on modular counting sequences with the HF Trainer.
import tempfile

import torch
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed

set_seed(7)
VOCAB, SEQ = 16, 24


class CountingDataset(Dataset):
    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        start = torch.randint(0, VOCAB, (n, 1), generator=g)
        step = torch.randint(1, 4, (n, 1), generator=g)
        self.ids = (start + step * torch.arange(SEQ)) % VOCAB

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, i):
        # the model shifts the labels internally
        return {"input_ids": self.ids[i], "labels": self.ids[i].clone()}


def main():
    cfg = GPT2Config(vocab_size=VOCAB, n_positions=SEQ, n_embd=48, n_layer=2, n_head=4,
                     bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(cfg)
    with tempfile.TemporaryDirectory() as out:
        args = TrainingArguments(
            output_dir=out, per_device_train_batch_size=16, per_device_eval_batch_size=64,
            max_steps=180, learning_rate=3e-3, warmup_steps=20, weight_decay=0.01,
            logging_steps=25, eval_strategy="steps", eval_steps=50, save_strategy="no",
            report_to=[], use_cpu=True, disable_tqdm=True, seed=7,
        )
        trainer = Trainer(model=model, args=args, train_dataset=CountingDataset(1500, 1),
                          eval_dataset=CountingDataset(128, 2))
        trainer.train()
        print("final eval:", trainer.evaluate())


if __name__ == "__main__":
    main()

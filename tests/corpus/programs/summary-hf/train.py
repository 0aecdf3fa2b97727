"""Keyword extraction with a small T5: copy the marked words of a line, in order."""
from transformers import T5ForConditionalGeneration, Trainer, TrainingArguments, set_seed
from transformers.utils import logging

from keywords.collator import PairCollator
from keywords.config import t5_config
from keywords.data import Pairs
from keywords.score import exact_match


def main():
    logging.set_verbosity_error()
    set_seed(4)
    model = T5ForConditionalGeneration(t5_config())
    args = TrainingArguments(
        output_dir="/tmp/keywords_out", max_steps=220, per_device_train_batch_size=48, learning_rate=6e-3,
        lr_scheduler_type="cosine", warmup_steps=20, logging_steps=50, save_strategy="no", report_to="none",
        disable_tqdm=True, use_cpu=True, seed=4, remove_unused_columns=False, max_grad_norm=1.0,
    )
    trainer = Trainer(model=model, args=args, train_dataset=Pairs(4000, seed=1), data_collator=PairCollator())
    trainer.train()
    print(f"exact {exact_match(model, Pairs(150, seed=2)):.3f}")


if __name__ == "__main__":
    main()

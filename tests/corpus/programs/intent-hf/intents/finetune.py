from transformers import BertForSequenceClassification, Trainer, TrainingArguments

from intents.data import INTENTS, Utterances, collate


def accuracy(prediction):
    return {"acc": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def finetune(base, out, epochs):
    model = BertForSequenceClassification.from_pretrained(base, num_labels=INTENTS)
    args = TrainingArguments(
        output_dir=str(out), num_train_epochs=epochs, per_device_train_batch_size=16, per_device_eval_batch_size=100,
        learning_rate=1e-3, warmup_steps=10, eval_strategy="epoch", save_strategy="no", logging_steps=10,
        report_to="none", disable_tqdm=True, use_cpu=True, seed=8, remove_unused_columns=False,
    )
    trainer = Trainer(
        model=model, args=args, train_dataset=Utterances(320, seed=2), eval_dataset=Utterances(300, seed=3),
        data_collator=collate, compute_metrics=accuracy,
    )
    trainer.train()
    print({k: round(v, 4) for k, v in trainer.evaluate().items() if k in ("eval_loss", "eval_acc")})

import torch
from transformers import BertForMaskedLM

from intents.config import bert_config
from intents.data import MASK, Utterances, collate


def pretrain(folder, steps, batch=48, lr=2e-3):
    data = Utterances(800, seed=1)
    model = BertForMaskedLM(bert_config())
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    model.train()
    for step in range(steps):
        rows = torch.randint(len(data), (batch,)).tolist()
        batch_ = collate([data[i] for i in rows])
        ids, mask = batch_["input_ids"], batch_["attention_mask"]
        hide = (torch.rand(ids.shape) < 0.2) & (ids > MASK)
        labels = ids.masked_fill(~hide, -100)
        out = model(input_ids=ids.masked_fill(hide, MASK), attention_mask=mask, labels=labels)
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
        if step % 60 == 0:
            print(f"pretrain step {step} loss {out.loss.item():.4f}")
    model.save_pretrained(folder)

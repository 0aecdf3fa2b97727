import torch
from torch.utils.data import DataLoader
from transformers import BertConfig, BertForMaskedLM, get_linear_schedule_with_warmup, set_seed

set_seed(23)
PAD, CLS, SEP, MASK, FIRST, VOCAB = 0, 1, 2, 3, 4, 44


def sentences(n):
    out = []
    for _ in range(n):
        length = int(torch.randint(8, 20, (1,)))
        start, stride = int(torch.randint(0, 40, (1,))), int(torch.randint(1, 3, (1,)))
        body = [(start + stride * i) % 40 + FIRST for i in range(length)]
        out.append(torch.tensor([CLS] + body + [SEP]))
    return out


def collate(batch):
    ids = torch.nn.utils.rnn.pad_sequence(batch, batch_first=True, padding_value=PAD)
    attention_mask = (ids != PAD).long()
    labels = ids.clone()
    special = ids < FIRST
    chosen = (torch.rand(ids.shape) < 0.2) & ~special
    chosen[:, 1] = True
    labels[~chosen] = -100
    ids = ids.clone()
    r = torch.rand(ids.shape)
    ids[chosen & (r < 0.8)] = MASK
    rand_pos = chosen & (r >= 0.8) & (r < 0.9)
    ids[rand_pos] = torch.randint(FIRST, VOCAB, (int(rand_pos.sum()),))
    return {"input_ids": ids, "attention_mask": attention_mask, "labels": labels}


config = BertConfig(vocab_size=VOCAB, hidden_size=48, num_hidden_layers=2, num_attention_heads=4,
                    intermediate_size=96, max_position_embeddings=32, pad_token_id=PAD)
model = BertForMaskedLM(config)
train = DataLoader(sentences(2000), batch_size=32, shuffle=True, collate_fn=collate)
val = DataLoader(sentences(300), batch_size=100, collate_fn=collate)
EPOCHS = 4
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
total_steps = EPOCHS * len(train)
scheduler = get_linear_schedule_with_warmup(optimizer, total_steps // 10, total_steps)

for epoch in range(EPOCHS):
    model.train()
    running = 0.0
    for batch in train:
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        running += loss.item()
    model.eval()
    with torch.no_grad():
        vl = sum(model(**b).loss.item() for b in val) / len(val)
    print(f"epoch {epoch + 1} mlm train {running / len(train):.4f} val {vl:.4f}")

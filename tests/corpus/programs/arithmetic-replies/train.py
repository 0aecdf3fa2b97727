# fine-tune a small GPT-2 on question/answer lines; only the answers are trained on
import random

import torch
from transformers import GPT2Config, GPT2LMHeadModel, set_seed
from transformers.utils import logging

logging.set_verbosity_error()
set_seed(3)
BOS, EOS, PAD, SEP = 0, 1, 2, 3
CHARS = "0123456789+-?"
VOCAB = 4 + len(CHARS)
MAX_LEN, BATCH, EPOCHS = 16, 64, 6


def to_ids(text):
    return [4 + CHARS.index(c) for c in text]


def question(rng):
    a, b = rng.randint(0, 9), rng.randint(0, 9)
    return (f"{a}+{b}?", f"{a}+{b}") if rng.random() < 0.5 else (f"{a}-{b}?", f"{b}{a}-")


def prompt_ids(text):
    return [BOS] + to_ids(text) + [SEP]


def encode(ask, reply):
    prompt, answer = prompt_ids(ask), to_ids(reply) + [EOS]
    ids = (prompt + answer)[:MAX_LEN]
    labels = ([-100] * len(prompt) + answer)[:MAX_LEN]
    return ids, labels


def collate(rows):
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([r + [PAD] * (width - len(r)) for r, _ in rows])
    labels = torch.tensor([r + [-100] * (width - len(r)) for _, r in rows])
    return ids, (ids != PAD).long(), labels


@torch.no_grad()
def reply_to(model, ask):
    ids = prompt_ids(ask)
    start = len(ids)
    while len(ids) < 20:
        nxt = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        if nxt == EOS:
            break
        ids.append(nxt)
    return ids[start:]


rng = random.Random(5)
train = [question(rng) for _ in range(1500)]
test = [question(rng) for _ in range(40)]
model = GPT2LMHeadModel(GPT2Config(
    vocab_size=VOCAB, n_positions=24, n_embd=48, n_layer=2, n_head=4, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD,
))
optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.01)
for epoch in range(EPOCHS):
    model.train()
    random.shuffle(train)
    total = 0.0
    for i in range(0, len(train), BATCH):
        ids, mask, labels = collate([encode(*pair) for pair in train[i:i + BATCH]])
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss.item() * len(ids)
    model.eval()
    if epoch % 2 == 1:
        right = sum(reply_to(model, ask) == to_ids(reply) for ask, reply in test) / len(test)
        print(f"epoch {epoch}: loss {total / len(train):.4f} right {right:.3f}")

"""Adapt a small GPT-2 to a corpus that contains a few new command tokens."""
import torch
from torch.utils.data import DataLoader
from transformers import GPT2Config, GPT2LMHeadModel, set_seed
from transformers.utils import logging

logging.set_verbosity_error()
set_seed(4)
OLD_VOCAB, NEW_TOKENS = 40, 24


def chains(vocab, n, length, seed):
    g = torch.Generator().manual_seed(seed)
    table = torch.stack([torch.randperm(vocab, generator=g) for _ in range(2)])
    seq = torch.randint(vocab, (n, 1), generator=g)
    out = [seq]
    for _ in range(length - 1):
        which = (torch.rand(n, 1, generator=g) < 0.15).long()
        out.append(table[which, out[-1]])
    return torch.cat(out, 1)


def widen(model, extra):
    old = model.transformer.wte
    new = torch.nn.Embedding(old.num_embeddings + extra, old.embedding_dim)
    torch.nn.init.normal_(new.weight, std=0.02)
    with torch.no_grad():
        new.weight[:old.num_embeddings] = old.weight
    model.transformer.wte = new
    model.lm_head = torch.nn.Linear(old.embedding_dim, new.num_embeddings, bias=False)
    model.lm_head.weight = new.weight
    model.config.vocab_size = new.num_embeddings


def train(model, optimizer, data, epochs, label):
    for ep in range(epochs):
        model.train()
        tot, cnt = 0.0, 0
        for ids in DataLoader(data, batch_size=32, shuffle=True):
            optimizer.zero_grad(set_to_none=True)
            loss = model(input_ids=ids, labels=ids).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            tot += loss.item()
            cnt += 1
        print(f"{label} epoch {ep}: loss {tot / cnt:.4f}")


model = GPT2LMHeadModel(GPT2Config(vocab_size=OLD_VOCAB, n_positions=32, n_embd=64, n_layer=2, n_head=4,
                                   resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0))
pre = torch.optim.AdamW(model.parameters(), lr=2e-3)
train(model, pre, chains(OLD_VOCAB, 480, 14, seed=1), 3, "base")

widen(model, NEW_TOKENS)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
corpus = chains(OLD_VOCAB + NEW_TOKENS, 960, 14, seed=2)
train(model, optimizer, corpus, 5, "adapt")

import torch

from sft.data import render


@torch.no_grad()
def generate(model, tokenizer, prompt, cfg):
    model.eval()
    ids, _ = render(tokenizer, prompt)
    start = len(ids)
    while len(ids) < cfg.context:
        logits, _ = model(torch.tensor([ids]))
        nxt = int(logits[0, -1].argmax())
        if nxt == tokenizer.eos_id:
            break
        ids.append(nxt)
    return tokenizer.decode(ids[start:])


def exact_match(model, tokenizer, examples, cfg, limit=60):
    hits = sum(generate(model, tokenizer, p, cfg) == a for p, a in examples[:limit])
    return hits / len(examples[:limit])

import random

import torch


def make_examples(n, seed):
    """Commands like "c: bad" (copy), "f: bad" (flip the order), "d: bad" (double each letter)."""
    rng = random.Random(seed)
    out = []
    for _ in range(n):
        word = "".join(rng.choice("abcdefghij") for _ in range(rng.randint(2, 6)))
        op = rng.choice("cfd")
        answer = {"c": word, "f": word[::-1], "d": "".join(c + c for c in word)}[op]
        out.append((f"{op}: {word}", answer))
    return out


def render(tokenizer, prompt, answer=None):
    """Ids of the prompt part and, for training, of the answer with its end."""
    head = tokenizer.encode(prompt, add_bos=True) + [tokenizer.sep_id]
    if answer is None:
        return head, []
    return head, tokenizer.encode(answer) + [tokenizer.eos_id]


class Collator:
    """Pads to the longest row; only the answer counts in the loss."""

    def __init__(self, tokenizer, max_length):
        self.tokenizer, self.max_length = tokenizer, max_length

    def __call__(self, examples):
        rows = []
        for prompt, answer in examples:
            head, tail = render(self.tokenizer, prompt, answer)
            ids = (head + tail)[: self.max_length]
            labels = ([-100] * len(head) + tail)[: self.max_length]
            rows.append((ids, labels))
        width = max(len(ids) for ids, _ in rows)
        pad = self.tokenizer.pad_id
        input_ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in rows])
        labels = torch.tensor([lab + [-100] * (width - len(lab)) for _, lab in rows])
        return {"input_ids": input_ids, "attention_mask": (input_ids != pad).long(), "labels": labels}

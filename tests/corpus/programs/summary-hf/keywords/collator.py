import torch

from keywords.data import PAD


def padded(rows, value):
    width = max(len(row) for row in rows)
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


class PairCollator:
    def __call__(self, items):
        ids = padded([item["line"] for item in items], PAD)
        labels = padded([item["answer"] for item in items], -100)
        return {"input_ids": ids, "attention_mask": (ids != PAD).long(), "labels": labels}

import torch
from torch.utils.data import Dataset

PAD, CLS, MASK, WORDS, INTENTS = 0, 1, 2, 60, 5


def utterances(n, seed):
    """Words of one topic come in a fixed cyclic order, mixed with filler."""
    g = torch.Generator().manual_seed(seed)
    topic = torch.randint(INTENTS, (n,), generator=g)
    rows = []
    for t in topic.tolist():
        length = int(torch.randint(6, 15, (1,), generator=g))
        at = int(torch.randint(8, (1,), generator=g))
        row = [CLS]
        for _ in range(length):
            if torch.rand(1, generator=g) < 0.7:
                row.append(3 + t * 8 + at % 8)
                at += 1
            else:
                row.append(int(torch.randint(3, WORDS, (1,), generator=g)))
        rows.append(row)
    return rows, topic.tolist()


class Utterances(Dataset):
    def __init__(self, n, seed):
        self.rows, self.topics = utterances(n, seed)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return {"input_ids": self.rows[i], "label": self.topics[i]}


def collate(items):
    width = max(len(item["input_ids"]) for item in items)
    ids = torch.tensor([item["input_ids"] + [PAD] * (width - len(item["input_ids"])) for item in items])
    return {"input_ids": ids, "attention_mask": (ids != PAD).long(), "labels": torch.tensor([item["label"] for item in items])}

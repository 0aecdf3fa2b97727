import torch
from torch.utils.data import Dataset

PAD, EOS, WORDS = 0, 1, 20
VOCAB = 2 + 2 * WORDS


class Pairs(Dataset):
    """A line of words, some in capitals; the answer is those, in small letters, and the end."""

    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.rows = []
        for _ in range(n):
            words = torch.randint(2, 2 + WORDS, (int(torch.randint(3, 6, (1,), generator=g)),), generator=g).tolist()
            line, answer = [], []
            for i, word in enumerate(words):
                if torch.rand(1, generator=g) < 0.35 or (i == len(words) - 1 and not answer):
                    line.append(word + WORDS)
                    answer.append(word)
                else:
                    line.append(word)
            self.rows.append((line + [EOS], answer + [EOS]))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return {"line": self.rows[i][0], "answer": self.rows[i][1]}

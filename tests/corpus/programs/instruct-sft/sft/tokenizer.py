class CharTokenizer:
    """One id for each character, and four special ones."""

    def __init__(self):
        self.specials = ["<pad>", "<bos>", "<eos>", "<sep>"]
        self.pad_id, self.bos_id, self.eos_id, self.sep_id = range(4)
        self.chars = "abcdefghij :"
        self.stoi = {c: i + 4 for i, c in enumerate(self.chars)}
        self.itos = {i: c for c, i in self.stoi.items()}

    def __len__(self):
        return 4 + len(self.chars)

    def encode(self, text, add_bos=False):
        ids = [self.stoi[c] for c in text]
        return [self.bos_id] + ids if add_bos else ids

    def decode(self, ids):
        return "".join(self.itos.get(i, "") for i in ids)

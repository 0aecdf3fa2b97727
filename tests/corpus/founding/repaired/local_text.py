"""Text to train on: the documentation strings of Python's standard library."""

import ast
import sysconfig
from pathlib import Path

import torch
from torch.utils.data import Dataset

VOCABULARY = 128


def documentation_strings(characters):
    """Docstrings of the standard library's modules, in the order of their names, until there are enough characters."""
    found, total = {}, 0
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        for node in ast.walk(tree):
            if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                continue
            text = ast.get_docstring(node)
            if text and len(text) > 80 and text not in found:
                found[text] = True
                total += len(text)
        if total >= characters:
            break
    return list(found)


def encode(text):
    return list(text.encode("ascii", errors="ignore"))


def decode(tokens):
    return bytes(tokens).decode("ascii", errors="replace")


class Windows(Dataset):
    """Windows of consecutive characters; the target of each is the character after it."""

    def __init__(self, texts, length):
        stream = torch.tensor([token for text in texts for token in encode(text + "\n\n")])
        count = (len(stream) - 1) // length
        self.inputs = stream[: count * length].view(count, length)
        self.targets = stream[1 : count * length + 1].view(count, length)

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        return self.inputs[index], self.targets[index]

"""The activations between the layers go, so that the network is linear."""

from __future__ import annotations

import ast

from benchmarks.corpus.source import Edit, SourceFile, called

ALTERNATIVES = ()
SYMPTOM = "the model does no better than a linear one"
FIX = "put an activation between the layers"


MODULES = ("ReLU", "GELU", "Tanh", "SiLU", "ELU", "LeakyReLU", "Sigmoid")
FUNCTIONS = ("torch.relu", "torch.tanh", "F.relu", "F.gelu", "F.silu")


def edits(source: SourceFile) -> list[Edit]:
    """Take the activations out of Sequential containers and forward passes."""
    found = []
    for call in source.calls("Sequential"):
        kept = [item for item in call.args if not (isinstance(item, ast.Call) and called(item) in MODULES)]
        if len(kept) < len(call.args) and not any(isinstance(item, ast.Starred) for item in call.args):
            inner = ", ".join(source.code(item) for item in kept)
            found.append(source.replace(call, f"{source.code(call.func)}({inner})"))
    if found:
        return found
    for node in source.walk():
        if isinstance(node, ast.Call) and source.code(node.func) in FUNCTIONS and len(node.args) == 1:
            if any(isinstance(item, ast.Call) and source.code(item.func) in FUNCTIONS for item in ast.walk(node.args[0])):
                continue
            found.append(source.replace(node, source.code(node.args[0])))
    return found

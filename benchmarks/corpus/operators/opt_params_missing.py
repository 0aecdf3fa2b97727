"""The optimizer gets the parameters of the last layer only."""

from __future__ import annotations

import ast

from benchmarks.corpus.anchors import built_models, model_classes, optimizer_calls
from benchmarks.corpus.source import Edit, SourceFile

ALTERNATIVES = ("grad-unintended-freeze",)
SYMPTOM = "most parameters get gradients and never change"
FIX = "pass model.parameters()"


def edits(source: SourceFile) -> list[Edit]:
    """Name the last module that the model's constructor makes."""
    classes = {node.name: node for node in model_classes(source)}
    for model in reversed(built_models(source)):
        for call in optimizer_calls(source):
            if model.class_name not in classes or not call.args or source.code(call.args[0]) != f"{model.target}.parameters()":
                continue
            names = _submodules(source, classes[model.class_name])
            if len(names) > 1:
                return [source.replace(call.args[0], f"{model.target}.{names[-1]}.parameters()")]
    return []


def _submodules(source: SourceFile, node: ast.ClassDef) -> list[str]:
    return [
        item.targets[0].attr
        for item in ast.walk(node)
        if isinstance(item, ast.Assign)
        and isinstance(item.targets[0], ast.Attribute)
        and isinstance(item.value, ast.Call)
        and source.code(item.value.func).startswith(("nn.Linear", "nn.Sequential", "torch.nn.Linear"))
    ]

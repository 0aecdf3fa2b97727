"""What the first-party code asks of its surroundings: a GPU, the hub, variables, encodings, optional packages. Read only."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cognate.observe.environment.reach import Reach
from cognate.observe.source.evaluate import dotted
from cognate.observe.source.text import parse

FILES = 60
# Calls that fetch something by name from the hub, and the word that says what.
HUB_CALLS = {
    "load_dataset": "dataset", "from_pretrained": "model", "snapshot_download": "repository", "hf_hub_download": "file",
    "load_dataset_builder": "dataset",
}  # fmt: skip
# Packages that a call needs although the package that is imported does not require them.
NEEDS = {
    "device_map": ("accelerate", "device_map="), "load_in_8bit": ("bitsandbytes", "load_in_8bit="),
    "load_in_4bit": ("bitsandbytes", "load_in_4bit="),
}  # fmt: skip
CALL_NEEDS = {"TrainingArguments": "accelerate", "Trainer": "accelerate", "Seq2SeqTrainer": "accelerate"}


@dataclass
class Uses:
    """Places are {"file", "line", "text"}; gated ones stand under an `if` or in a conditional expression."""

    hub: list[dict[str, Any]] = field(default_factory=list)
    cuda: list[dict[str, Any]] = field(default_factory=list)  # asked for without a test
    cuda_tested: list[dict[str, Any]] = field(default_factory=list)
    opens: list[dict[str, Any]] = field(default_factory=list)  # text files without encoding; "path" where it is known
    prints: list[dict[str, Any]] = field(default_factory=list)  # of characters beyond ASCII
    asserts: list[dict[str, Any]] = field(default_factory=list)
    sets: dict[str, dict[str, Any]] = field(default_factory=dict)  # variables that the code itself sets or removes
    reads: list[dict[str, Any]] = field(default_factory=list)  # os.environ["NAME"], unguarded
    workers: list[dict[str, Any]] = field(default_factory=list)  # num_workers=N above 0
    needs: list[dict[str, Any]] = field(default_factory=list)  # optional packages, by the call that needs them
    metadata: list[dict[str, Any]] = field(default_factory=list)  # importlib.metadata.version("NAME")
    distributed: list[dict[str, Any]] = field(default_factory=list)
    strings: list[dict[str, Any]] = field(default_factory=list)  # text constants beyond ASCII


def uses(files: Iterable[Path], reach: Reach) -> Uses:
    """Read what `files` ask for where they are run; a function that nothing mentions asks for nothing."""
    found = Uses()
    for file in list(files)[:FILES]:
        tree = parse(file)
        if tree is not None:
            _Reader(file, found, tree, reach).walk(tree, gated=False, tried=False)
    return found


class _Reader:
    def __init__(self, file: Path, found: Uses, tree: ast.Module, reach: Reach) -> None:
        self._file, self._reach = file, reach
        # Names of importlib.metadata that the file uses bare.
        self._metadata = {
            alias.asname or alias.name
            for node in tree.body
            if isinstance(node, ast.ImportFrom) and (node.module or "").endswith("metadata")
            for alias in node.names
        }
        self._found = found
        self._constants = _constants(tree)

    def _text(self, node: ast.expr | None) -> str | None:
        """The string that `node` is: written there, or under a name that the file gives one string and no other."""
        if isinstance(node, ast.Name):
            return self._constants.get(node.id)
        return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None

    def _place(self, node: ast.AST, **facts: Any) -> dict[str, Any]:
        text = " ".join(ast.unparse(node).split())[:120]
        return {"file": str(self._file), "line": getattr(node, "lineno", 1), "text": text, **facts}

    def walk(self, node: ast.AST, gated: bool, tried: bool) -> None:
        """Visit `node` and what is below it, knowing whether it stands under a test or in a `try`."""
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not self._reach.line(self._file, node.lineno):
            return
        # A method that is itself called `cuda` hands on what others ask for; a decorator that names GPUs tests for them.
        if isinstance(node, ast.FunctionDef):
            words = " ".join(ast.unparse(item) for item in node.decorator_list).lower()
            gated = gated or node.name == "cuda" or "cuda" in words or "gpu" in words
        if isinstance(node, ast.Call):
            self._call(node, gated, tried)
        elif isinstance(node, ast.Assert):
            self._found.asserts.append(self._place(node))
        elif isinstance(node, ast.Subscript):
            self._subscript(node, gated, tried)
        elif isinstance(node, ast.Assign) and not gated:
            self._assign(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not node.value.isascii():
            self._found.strings.append({"file": str(self._file), "line": node.lineno, "text": node.value[:200]})
        for name, value in ast.iter_fields(node):
            inner = gated or (isinstance(node, (ast.If, ast.IfExp, ast.BoolOp)) and name != "test")
            if isinstance(node, ast.If) and _is_main(node):
                inner = gated
            inside = tried or (isinstance(node, ast.Try) and name == "body")
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    self.walk(child, inner, inside)

    def _call(self, node: ast.Call, gated: bool, tried: bool) -> None:
        name = dotted(node.func) or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
        last = name.rpartition(".")[2]
        keywords = {item.arg: item.value for item in node.keywords if item.arg}
        if last in HUB_CALLS:
            self._hub(node, last, keywords, tried)
        elif last == "print" or name.startswith(("logging.", "logger.", "log.")):
            if any(not text.isascii() for text in _texts(node)):
                self._found.prints.append(self._place(node))
        elif name in ("open", "io.open") or last in ("read_text", "write_text"):
            self._open(node, name, last, keywords)
        elif last in ("read_csv", "read_table") and node.args and "encoding" not in keywords:
            path = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
            self._found.opens.append(self._place(node, path=path if isinstance(path, str) else None, writes=False, pandas=True))
        elif name in ("os.environ.setdefault", "os.putenv") and len(node.args) == 2 and not gated:
            self._set(node.args[0], node.args[1], node, weak=name.endswith("setdefault"))
        elif name == "os.environ.pop" and node.args:
            self._set(node.args[0], None, node)
        elif node.args and (name in self._metadata or name.endswith(("metadata.version", "pkg_resources.get_distribution"))):
            if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str) and not (gated or tried):
                self._found.metadata.append(self._place(node, name=node.args[0].value))
        elif last == "init_process_group":
            self._found.distributed.append(self._place(node))
        if not isinstance(node.func, ast.Attribute) and last in CALL_NEEDS:
            self._found.needs.append(self._place(node, module=CALL_NEEDS[last], word=last))
        for word, (module, shown) in NEEDS.items():
            value = keywords.get(word)
            if value is not None and not (isinstance(value, ast.Constant) and not value.value):
                self._found.needs.append(self._place(node, module=module, word=shown))
        workers = keywords.get("num_workers") or keywords.get("dataloader_num_workers")
        if isinstance(workers, ast.Constant) and isinstance(workers.value, int) and workers.value > 0:
            self._found.workers.append(self._place(node, count=workers.value))
        self._cuda(node, last, keywords, gated or tried)

    def _cuda(self, node: ast.Call, last: str, keywords: dict[str, ast.expr], gated: bool) -> None:
        asked = last == "cuda" and isinstance(node.func, ast.Attribute) and "torch.cuda" not in dotted(node.func)
        for value in (
            *(node.args if last in ("to", "device", "set_device", "set_default_device") else ()),
            keywords.get("device"),
        ):
            asked = asked or (self._text(value) or "").startswith("cuda")
        # Lightning and Accelerate refuse to go on without one.
        asked = asked or self._text(keywords.get("accelerator")) in ("gpu", "cuda")
        if asked:
            self._found.cuda_tested.append(self._place(node)) if gated else self._found.cuda.append(self._place(node))
        elif last == "is_available" and "cuda" in dotted(node.func):
            self._found.cuda_tested.append(self._place(node))

    def _hub(self, node: ast.Call, last: str, keywords: dict[str, ast.expr], tried: bool) -> None:
        first = (
            node.args[0]
            if node.args
            else keywords.get("path") or keywords.get("repo_id") or keywords.get("pretrained_model_name_or_path")
        )
        name = self._text(first)
        if name is not None:
            local = keywords.get("local_files_only")
            kind = "dataset" if last == "snapshot_download" and _is(keywords.get("repo_type"), "dataset") else HUB_CALLS[last]
            self._found.hub.append(self._place(node, name=name, what=kind, local=_is(local, True), tried=tried))

    def _open(self, node: ast.Call, name: str, last: str, keywords: dict[str, ast.expr]) -> None:
        path = node.args[0] if node.args else keywords.get("file")
        mode = node.args[1] if name in ("open", "io.open") and len(node.args) > 1 else keywords.get("mode")
        encoding = self._text(keywords.get("encoding"))
        if ("encoding" in keywords and encoding is None) or "errors" in keywords:
            return
        if mode is not None and (not isinstance(mode, ast.Constant) or "b" in str(mode.value)):
            return
        if last == "read_text" and isinstance(node.func, ast.Attribute):
            holder = node.func.value
            path = holder.args[0] if isinstance(holder, ast.Call) and holder.args else None
            if node.args:
                return
        writes = last == "write_text" or (isinstance(mode, ast.Constant) and any(c in str(mode.value) for c in "wax"))
        known = path.value if isinstance(path, ast.Constant) and isinstance(path.value, str) else None
        self._found.opens.append(self._place(node, path=known, writes=writes, encoding=encoding))

    def _subscript(self, node: ast.Subscript, gated: bool, tried: bool) -> None:
        name = node.slice.value if isinstance(node.slice, ast.Constant) else None
        read = isinstance(node.ctx, ast.Load) and dotted(node.value) in ("os.environ", "environ")
        if read and isinstance(name, str) and not (gated or tried):
            self._found.reads.append(self._place(node, name=name))

    def _assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            if isinstance(target, ast.Subscript) and dotted(target.value) in ("os.environ", "environ"):
                self._set(target.slice, node.value, node)
            named = isinstance(target, ast.Name) and target.id.lower() == "device"
            if named and isinstance(node.value, ast.Constant) and str(node.value.value).startswith("cuda"):
                self._found.cuda.append(self._place(node))

    def _set(self, name: ast.expr, value: ast.expr | None, node: ast.AST, weak: bool = False) -> None:
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            text = str(value.value) if isinstance(value, ast.Constant) else None
            self._found.sets.setdefault(name.value, self._place(node, value=text, weak=weak, removed=value is None))


def _constants(tree: ast.Module) -> dict[str, str]:
    """Names that are bound once in the file, to a string."""
    bound: dict[str, list[ast.expr | None]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.setdefault(node.id, []).append(None)
        elif isinstance(node, ast.arg):
            bound.setdefault(node.arg, []).append(None)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            bound[node.targets[0].id].append(node.value)
    return {
        name: values[1].value
        for name, values in bound.items()
        if len(values) == 2 and isinstance(values[1], ast.Constant) and isinstance(values[1].value, str)
    }


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value == value


def _is_main(node: ast.If) -> bool:
    text = ast.unparse(node.test)
    return "__name__" in text and "__main__" in text


def _texts(node: ast.Call) -> Iterator[str]:
    for argument in node.args:
        for child in ast.walk(argument):
            if isinstance(child, ast.Constant) and isinstance(child.value, str):
                yield child.value

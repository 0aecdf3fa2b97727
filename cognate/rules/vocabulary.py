"""What the source says about special tokens, cuts and masks of labels; a place for what the target audit proves."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from cognate.case.case import Case
from cognate.rules.source import Site

IGNORED = -100
END = ("eos", "eot", "end", "stop", "sep")


def constants(case: Case) -> Iterator[tuple[str, int, Site]]:
    """Names that are set to a whole number: assignments (also several at once), annotated fields, defaults, options."""
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    yield from _pairs(file, target, node.value)
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                yield from _pairs(file, node.target, node.value)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                named = node.args.args[len(node.args.args) - len(node.args.defaults) :]
                for argument, value in zip(named, node.args.defaults, strict=True):
                    yield from _pairs(file, ast.Name(argument.arg, lineno=value.lineno), value)
            elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                default = next((k.value for k in node.keywords if k.arg == "default"), None)
                if default is not None and isinstance(node.args[0].value, str):
                    option = node.args[0].value.lstrip("-").replace("-", "_")
                    yield from _pairs(file, ast.Name(option, lineno=node.lineno), default)


def _pairs(file: str, target: ast.AST, value: ast.AST) -> Iterator[tuple[str, int, Site]]:
    if isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
        for one, other in zip(target.elts, value.elts, strict=False):
            yield from _pairs(file, one, other)
    elif isinstance(value, ast.Constant) and type(value.value) is int:
        name = last_name(target)
        if name:
            yield name, value.value, {"file": file, "line": target.lineno}  # type: ignore[attr-defined]


def last_name(node: ast.AST) -> str:
    """`pad_token` for `tokenizer.pad_token` and for `pad_token`; the text of a string; empty for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        return last_name(node.slice)
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return getattr(node, "id", None) or getattr(node, "arg", None) or ""


def means(name: str, words: tuple[str, ...]) -> bool:
    """Whether one of the parts of `name` is one of `words`: EOS_ID and <eos>, not `attended`."""
    parts = "".join(letter if letter.isalnum() else " " for letter in name.lower().replace("_", " ")).split()
    return any(part == word or part == f"{word}id" for part in parts for word in words)


def named_ids(case: Case, words: tuple[str, ...]) -> set[int]:
    """The ids that the source gives to names of one meaning, such as EOS = 1."""
    return {value for name, value, _ in constants(case) if means(name, words)}


def padding_named(case: Case, token: int) -> Site | None:
    """Where the source gives padding the id `token`."""
    return next((site for name, value, site in constants(case) if value == token and means(name, ("pad", "padding"))), None)


def padded_with_end(case: Case) -> Site | None:
    """Where padding is set to be the end token: `PAD = EOS`, `tok.pad_token = tok.eos_token`."""
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                pads = [t for t in node.targets if means(last_name(t), ("pad", "padding"))]
                if pads and means(last_name(node.value), ("eos", "eot", "end")):
                    return {"file": file, "line": node.lineno}
            elif (
                isinstance(node, ast.keyword)
                and means(node.arg or "", ("pad", "padding"))
                and means(last_name(node.value), ("eos", "eot", "end"))
            ):
                return {"file": file, "line": node.value.lineno}
    return None


def statements(case: Case, test: Callable[[ast.stmt], bool]) -> list[Site]:
    """The simple statements for which `test` holds, with the function that each stands in."""
    found: list[Site] = []
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Return)) and test(node):
                found.append({"file": file, "line": node.lineno})
    return sorted(found, key=lambda site: (site["file"], site["line"]))


def ignores(node: ast.AST) -> bool:
    """Whether `node` writes the ignored label: -100, or a name such as IGNORE."""
    for part in ast.walk(node):
        if isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.USub) and getattr(part.operand, "value", None) == -IGNORED:
            return True
        if isinstance(part, (ast.Name, ast.Attribute)) and "ignore" in last_name(part).lower():
            return True
    return False


def masked_by_value(case: Case) -> Site | None:
    """Where labels are masked by what they are: `labels[labels == pad] = -100`, masked_fill or where with a comparison."""
    found = statements(case, lambda node: ignores(node) and any(isinstance(part, ast.Compare) for part in ast.walk(node)))
    return found[0] if found else None


def masked_by_place(case: Case) -> Site | None:
    """Where labels are masked by their place: `[-100] * n`, `labels[:n] = -100`."""

    def by_place(node: ast.stmt) -> bool:
        parts = list(ast.walk(node))
        repeated = any(isinstance(p, ast.BinOp) and isinstance(p.op, ast.Mult) and isinstance(p.left, ast.List) for p in parts)
        targets = node.targets if isinstance(node, ast.Assign) else []
        slices = [t.slice for t in targets if isinstance(t, ast.Subscript)]
        return ignores(node) and (repeated or any(isinstance(p, ast.Slice) for s in slices for p in ast.walk(s)))

    found = statements(case, by_place)
    return found[0] if found else None


def cut_to(case: Case, length: int) -> Site | None:
    """Where rows are cut to `length` tokens: the number's own place, if it bounds a slice from the start or is a max_length."""
    named = {name: site for name, value, site in constants(case) if value == length}
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            bound: ast.AST | None = None
            if isinstance(node, ast.Slice) and node.step is None and _is_start(node.lower):
                bound = node.upper
            elif isinstance(node, ast.keyword) and node.arg in ("max_length", "max_seq_length", "max_len", "truncate_to"):
                bound = node.value
            if bound is None:
                continue
            if isinstance(bound, ast.Constant) and bound.value == length:
                return {"file": file, "line": bound.lineno}
            if last_name(bound) in named:
                return named[last_name(bound)]
    return None


def _is_start(lower: ast.expr | None) -> bool:
    return lower is None or (isinstance(lower, ast.Constant) and lower.value == 0)

"""`type=bool` turns the text of an option that was given, or of its default, into True."""

import ast
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.source import called
from cognate.rules.training import where

# What people write when they mean no; bool() of any text that is not empty is True.
NO = ("false", "no", "off", "f", "n", "0", "none")
_PARSER = (
    "import argparse\np = argparse.ArgumentParser()\np.add_argument('--freeze', {})\nargs = p.parse_args()\nfit(args.freeze)\n"
)


def _parts(options: str) -> dict:
    return {"source": {"train.py": _PARSER.format(options)}, "info": {"command": ["python", "train.py", "--freeze", "False"]}}


class Option(NamedTuple):
    """One call of add_argument."""

    file: str
    line: int
    names: tuple[str, ...]
    kind: str  # "bool", or "type" where the type is taken from a default that only the run knows
    default: object

    @property
    def dest(self) -> str:
        """The attribute under which the value is read."""
        long = next((n for n in self.names if n.startswith("--")), self.names[0] if self.names else "")
        return long.lstrip("-").replace("-", "_")


@rule(
    code="CODE112",
    name="code-argparse-bool",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"source"},
    explains={"grad-unintended-freeze"},
    fires=Example(**_parts("type=bool, default=False")),
    quiet=Example(**_parts("action=argparse.BooleanOptionalAction")),
)
def code_argparse_bool(case: Case) -> Iterator[Said]:
    """An option with `type=bool` was given as False and is True: argparse calls bool() on the text, which is not empty.

    `--freeze False` freezes, whatever was meant, and the log shows an option that looks right. Reported only where such a text
    was really given: on the command line, in a list that the script parses, or as the default of the option.
    """
    options = list(_options(case))
    if not options:
        yield Clear("no option of the script converts its text by bool()")
        return
    read = {n.attr for t in case.trees.values() for n in ast.walk(t) if isinstance(n, ast.Attribute)}
    whole = any(called(n) == "vars" for t in case.trees.values() for n in ast.walk(t) if isinstance(n, ast.Call))
    for option in options:
        given = _given(case, option)
        if given is None or not (whole or option.dest in read or option.kind == "type"):
            continue
        text, origin = given
        site = {"file": option.file, "line": option.line}
        yield Finding(
            title=f"{option.names[0] if option.names else 'an option'} was given as {text!r} ({origin}) and became True: "
            f"type=bool at {where(site)} makes any text true",
            proof=Proof.SOURCE,
            evidence=(
                Evidence("the text that was converted", text, "", origin),
                Evidence(f"bool({text!r})", True, "False"),
            ),
            location=Location.of(site),
            onset_step=0,
            fix=Fix("Use action=argparse.BooleanOptionalAction, or a function that reads the text, in place of type=bool."),
        )
        return
    yield Clear(f"{len(options)} options convert their text by bool(), none of them was given a text that means no")


def _options(case: Case) -> Iterator[Option]:
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and called(node) == "add_argument"):
                continue
            words = {k.arg: k.value for k in node.keywords}
            kind = words.get("type")
            names = tuple(a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))
            default = words.get("default")
            value = default.value if isinstance(default, ast.Constant) else None
            if isinstance(kind, ast.Name) and kind.id == "bool" and names:
                yield Option(file, node.lineno, names, "bool", value)
            elif isinstance(kind, ast.Call) and called(kind) == "type":
                yield Option(file, node.lineno, names, "type", value)


def _given(case: Case, option: Option) -> tuple[str, str] | None:
    """The text that means no and that this option received, with where it came from."""
    words = [str(word) for word in case.info.get("command", [])]
    typed = words[3:] if words[1:2] == ["-m"] else words[2:]
    names = option.names or tuple(w for w in typed if w.startswith("--"))
    for text, origin in (*_texts(typed, names, "command line"), *_listed(case, names, bool(typed))):
        # Where the type is that of a default, "0" and "none" may be meant for a number or a text.
        if text.lower() in (NO if option.kind == "bool" else NO[:2]):
            return text, origin
        return None
    if option.kind == "bool" and isinstance(option.default, str) and option.default.lower() in NO:
        return option.default, "its default"
    return None


def _texts(words: list[str], names: tuple[str, ...], origin: str) -> list[tuple[str, str]]:
    """What follows one of `names` in `words`; of several, argparse takes the last."""
    found = [(follow, origin) for word, follow in pairwise(words) if word in names]
    found += [(word.partition("=")[2], origin) for word in words if word.partition("=")[0] in names and "=" in word]
    return found[-1:]


def _listed(case: Case, names: tuple[str, ...], typed: bool) -> list[tuple[str, str]]:
    """The same in the lists of words that the script hands to a parser or puts on sys.argv itself.

    A list that stands in for an empty command line (`sys.argv[1:] or PRESET`) counts only where the command line is empty.
    """
    found = []
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            words = _words(node)
            if words and (not typed or _handed_over(tree, node)):
                found += _texts(words, names, f"{file}:{node.lineno}")  # type: ignore[attr-defined]
    return found


def _words(node: ast.AST) -> list[str]:
    if isinstance(node, (ast.List, ast.Tuple)):
        return [str(e.value) for e in node.elts if isinstance(e, ast.Constant)]
    split = isinstance(node, ast.Call) and called(node) == "split" and isinstance(node.func, ast.Attribute)
    if split and isinstance(node.func.value, ast.Constant) and isinstance(node.func.value.value, str):  # type: ignore[attr-defined]
        return node.func.value.value.split()  # type: ignore[attr-defined]
    return []


def _handed_over(tree: ast.AST, words: ast.AST) -> bool:
    """Whether a list stands in a call of parse_args itself, which then never looks at the command line."""
    parsers = ("parse_args", "parse_known_args")
    return any(
        isinstance(n, ast.Call) and called(n) in parsers and any(words is inner for a in n.args for inner in ast.walk(a))
        for n in ast.walk(tree)
    )

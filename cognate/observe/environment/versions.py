"""Versions, specifiers and markers of Python packaging: as much of PEP 440 and PEP 508 as judging an install takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

VERSION = re.compile(
    r"v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)[-_.]?(?:(?P<pre>a|b|c|rc|alpha|beta|pre|preview)[-_.]?(?P<number>\d*))?"
    r"(?:(?:[-_.]?(?:post|rev|r)[-_.]?|-)(?P<post>\d+))?(?:[-_.]?dev[-_.]?(?P<dev>\d*))?(?:\+(?P<local>[\w.\-]+))?$",
    re.IGNORECASE,
)
REQUIREMENT = re.compile(
    r"\s*(?P<name>[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?:\[(?P<extras>[^\]]*)\])?\s*(?P<rest>[^;]*)(?:;(?P<marker>.*))?$"
)
CLAUSE = re.compile(r"(~=|===?|!=|<=|>=|<|>)\s*([^,;\s)]+)")
TOKEN = re.compile(r"\s*(\(|\)|and\b|or\b|not\s+in\b|in\b|~=|===?|!=|<=|>=|<|>|'[^']*'|\"[^\"]*\"|[\w.]+)")

Key = tuple[tuple[int, ...], tuple[int, int], int, int]


def key(text: str) -> Key | None:
    """A sortable form of a version, or None for what is none. Local parts (+cu121) don't count."""
    match = VERSION.match(text.strip())
    if not match:
        return None
    release = tuple(int(part) for part in match["release"].split("."))
    while len(release) > 1 and not release[-1]:
        release = release[:-1]
    rank = {"a": 0, "alpha": 0, "b": 1, "beta": 1, "c": 2, "rc": 2, "pre": 2, "preview": 2}.get((match["pre"] or "").lower(), 3)
    dev = match["dev"] is not None
    if dev and not match["pre"] and not match["post"]:
        rank = -1
    return release, (rank, int(match["number"] or 0)), int(match["post"] or -1), 0 if dev else 1


def satisfies(version: str, specifier: str) -> bool:
    """Whether `version` meets every clause of `specifier`; a clause that cannot be read is met."""
    return not any(_broken(version, operator, wanted) for operator, wanted in CLAUSE.findall(specifier))


def _broken(version: str, operator: str, wanted: str) -> bool:
    here = key(version)
    if here is None:
        return False
    if wanted.endswith(".*"):
        prefix = tuple(int(part) for part in re.findall(r"\d+", wanted))
        same = (here[0] + (0,) * len(prefix))[: len(prefix)] == prefix
        return same if operator == "!=" else (operator == "==" and not same)
    there = key(wanted)
    if there is None:
        return False
    if operator == "~=":
        prefix = tuple(int(part) for part in re.findall(r"\d+", re.split(r"[a-z+]", wanted)[0]))[:-1]
        return here < there or (here[0] + (0,) * len(prefix))[: len(prefix)] != prefix
    return not {
        "==": here == there,
        "===": here == there,
        "!=": here != there,
        "<=": here <= there,
        ">=": here >= there,
        "<": here < there and not (here[0] == there[0] and there[1][0] == 3),
        ">": here > there,
    }[operator]


@dataclass(frozen=True)
class Requirement:
    """One line of Requires-Dist or of a requirements file."""

    name: str
    extras: tuple[str, ...]
    specifier: str
    marker: str
    text: str


def requirement(text: str) -> Requirement | None:
    """Read one requirement; None for options, paths and URLs, whose version nobody states."""
    bare = re.sub(r"(^|\s)#.*", "", text).split(" --")[0].strip()
    match = REQUIREMENT.match(bare)
    if not match or bare.startswith(("-", ".", "/")) or "://" in bare:
        return None
    extras = tuple(item.strip().lower() for item in (match["extras"] or "").split(",") if item.strip())
    return Requirement(match["name"], extras, match["rest"].strip(" ()"), (match["marker"] or "").strip(), bare)


def applies(marker: str, values: Mapping[str, str]) -> bool:
    """Whether a marker holds for the environment `values`; one that cannot be read does not."""
    if not marker:
        return True
    tokens, position = [item[1] for item in TOKEN.finditer(marker)], 0

    def operand() -> str:
        nonlocal position
        position += 1
        word = tokens[position - 1]
        return word[1:-1] if word[:1] in "'\"" else values.get(word, "")

    def term() -> bool:
        nonlocal position
        if tokens[position] == "(":
            position += 1
            held = either()
            position += 1
            return held
        versions = "version" in tokens[position] or ("version" in tokens[position + 2])
        left = operand()
        operator = " ".join(tokens[position].split())
        position += 1
        right = operand()
        if operator in ("in", "not in"):
            return (left in right) is (operator == "in")
        if versions and key(left) and key(right.removesuffix(".*")):
            return not _broken(left, operator, right)
        return (left == right) is (operator in ("==", "===")) if operator in ("==", "===", "!=") else False

    def joined(word: str, part: Callable[[], bool], fold: Callable[[list[bool]], bool]) -> bool:
        nonlocal position
        held = [part()]
        while position < len(tokens) and tokens[position] == word:
            position += 1
            held.append(part())
        return fold(held)

    def either() -> bool:
        return joined("or", lambda: joined("and", term, all), any)

    try:
        return either()
    except (IndexError, KeyError):
        return False

"""What the code asks of the standard library that this version of Python does not have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cognate.observe.environment.resolve import Candidate, offers
from cognate.observe.source import Import

# Names that libraries import at once and that came with a version (docs.python.org, "New in version").
SINCE = {
    "typing": {
        **dict.fromkeys(("Self", "Never", "LiteralString", "Required", "NotRequired", "Unpack", "TypeVarTuple", "assert_never",
                         "reveal_type", "dataclass_transform", "get_overloads", "assert_type"), (3, 11)),
        **dict.fromkeys(("ParamSpec", "TypeAlias", "TypeGuard", "Concatenate", "is_typeddict", "ParamSpecArgs"), (3, 10)),
        **dict.fromkeys(("override", "TypeAliasType"), (3, 12)),
        **dict.fromkeys(("TypeIs", "ReadOnly", "NoDefault"), (3, 13)),
    },
    "enum": dict.fromkeys(("StrEnum", "ReprEnum", "verify", "member", "nonmember"), (3, 11)),
    "itertools": {"pairwise": (3, 10), "batched": (3, 12)},
    "datetime": {"UTC": (3, 11)},
    "warnings": {"deprecated": (3, 13)},
    "dataclasses": {"KW_ONLY": (3, 10)},
    "types": {"NoneType": (3, 10), "UnionType": (3, 10), "EllipsisType": (3, 10)},
    "contextlib": {"chdir": (3, 11), "aclosing": (3, 10)},
    "asyncio": {"TaskGroup": (3, 11), "Runner": (3, 11), "timeout": (3, 11)},
    "inspect": {"get_annotations": (3, 10)},
    "functools": {"cache": (3, 9)},
    "zoneinfo": {"ZoneInfo": (3, 9)},
}  # fmt: skip


def newer(module: str, names: Iterable[str], version: tuple[int, ...]) -> tuple[str, str] | None:
    """(name, version that brought it) of the first of `names` that the standard library of `version` cannot have."""
    since = SINCE.get(module, {})
    for name in names:
        if since.get(name, (0, 0)) > version[:2]:
            return name, ".".join(map(str, since[name]))
    return None


def lacking(item: Import, chosen: Candidate) -> list[dict[str, Any]]:
    """The link to the first name that `chosen`, a module of the standard library, does not define; empty where it has all."""
    # Under a test of the version or platform another branch may serve.
    if chosen.kind not in ("module", "package") or "." in item.module or item.gate:
        return []
    file = Path(chosen.file, "__init__.py") if chosen.kind == "package" else Path(chosen.file)
    try:
        text = file.read_bytes()
    except OSError:
        return []
    if b"_convert_(" in text or b"globals()" in text:
        return []  # enumerations that write their members into the module
    for name in item.names:
        if name != "*" and not _bound(name.encode(), text) and not offers(chosen).has(name, ""):
            link = {"file": str(item.file), "line": item.line, "module": f"{item.module}.{name}", "reason": "stdlib-name"}
            return [link | {"detail": f"{file} defines no {name}"}]
    return []


def _bound(name: bytes, text: bytes) -> bool:
    """Whether the text seems to bind `name`: parsing a module such as typing for every import would cost too much."""
    pattern = rb"(?m)\b(?:def|class)\s+%b\b|\b%b\b\s*(?::[^=\n]+)?=|\bimport\b[^\n]*\b%b\b" % (name, name, name)
    return bool(re.search(pattern, text))

"""Local files that take the name of a standard or installed module which the first-party code itself never imports."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cognate.observe.environment.resolve import Candidate, winner
from cognate.observe.environment.trace import Tracer
from cognate.observe.source.closure import INSTALLED

SITE_ORIGINS = frozenset({"venv", "user-site", "site-packages"})
USER_ORIGINS = frozenset({"script", "cwd", "PYTHONPATH", "edit"})


def hidden(tracer: Tracer, known: Iterable[str]) -> dict[str, list[Candidate]]:
    """Return such names, apart from `known` ones, with all their candidates: code that others wrote may meet them."""
    installed = {
        name.partition(".")[0]
        for entry in tracer.path
        if entry.origin in SITE_ORIGINS
        for name in tracer.finder.listing(entry.path)
    }
    takeable = (tracer.interpreter.stdlib_names - tracer.interpreter.unshadowable) | installed
    imported = {traced.item.top for traced in tracer.traced if not traced.item.level} | set(known)
    found: dict[str, list[Candidate]] = {}
    for entry in tracer.path:
        if entry.origin not in USER_ORIGINS or INSTALLED & set(Path(entry.path).parts):
            continue
        local = {item.partition(".")[0] for item in tracer.finder.listing(entry.path)}
        for name in sorted((local & takeable) - imported - set(found)):
            candidates = tracer.finder.candidates(name, tracer.path) if name.isidentifier() else []
            chosen = winner(candidates)
            if chosen is not None and chosen.regular and chosen.entry is entry and len(candidates) > 1:
                found[name] = candidates
    return found

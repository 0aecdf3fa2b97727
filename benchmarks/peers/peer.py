"""What the table and the runner know of a peer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.peers.verdict import Meaning, Verdict
from benchmarks.peers.workshop import Program, Workshop


@dataclass(frozen=True)
class Peer:
    """One adapter.

    `judge` raises NotRunError where the peer can't judge a program. `module` is what must be importable from the tools' folder;
    None for the rule sets that are written here.
    """

    name: str
    title: str
    module: str | None
    changes: str  # to the user's code
    references: str  # other runs that it needs
    reads: str
    meanings: Mapping[str, Meaning]
    judge: Callable[[Program, Workshop], Verdict]

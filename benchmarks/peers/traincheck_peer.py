"""TrainCheck 0.2 (OSDI 2025): not run on the corpus. It is listed with the reason, and with what was measured of it.

Its documented way is four commands: `traincheck-collect` on a known-good run (the fixed twin), `traincheck-infer`,
`traincheck-collect --invariants` on the program, `traincheck-check`. All four start here.
"""

from __future__ import annotations

from benchmarks.peers.peer import Peer
from benchmarks.peers.verdict import Verdict
from benchmarks.peers.workshop import NotRunError, Program, Workshop

# Measured on claim-sizes, 24 November 2026, one core of two, shared.
REASON = (
    "beyond the time of a program: on claim-sizes (4.6 CPU s, 15 epochs) collecting the reference run was stopped after 300 s, "
    "in 39 CPU s, in its third epoch; inferring invariants from that part took 32 CPU s more and gave 716; the second collection "
    "and the check come on top. A violated invariant names calls and arguments, not a cause: no table of ids can stand for it"
)


def judge(program: Program, workshop: Workshop) -> Verdict:
    """Raises NotRunError."""
    raise NotRunError(REASON)


PEER = Peer(
    name="traincheck",
    title="TrainCheck 0.2.0",
    module="traincheck",
    changes="the name of the model's variable",
    references="a healthy run of the same program",
    reads="traces of calls and of the model's state",
    meanings={},
    judge=judge,
)

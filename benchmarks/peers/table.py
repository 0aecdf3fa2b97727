"""The table of what the peers said, as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.peers.peer import Peer
from benchmarks.peers.verdict import OUTCOMES, Verdict, outcome
from benchmarks.peers.workshop import Program

Verdicts = Mapping[str, Verdict]  # by program


@dataclass(frozen=True)
class Row:
    """A peer's figures."""

    outcomes: Counter[str]
    healthy: int
    alarms: int
    serious: int  # alarms of severity warning or error
    seconds: float


def row(peer: Peer, programs: Sequence[Program], verdicts: Verdicts) -> Row:
    """Scores what there is; programs without a verdict are left out."""
    outcomes: Counter[str] = Counter()
    healthy = alarms = serious = 0
    judged = [program for program in programs if program.id in verdicts]
    for program in judged:
        verdict = verdicts[program.id]
        if program.healthy:
            if verdict.status == "ok":
                healthy += 1
                alarms += bool(verdict.findings)
                serious += any(finding.severity != "info" for finding in verdict.findings)
            continue
        twin = verdicts.get(program.base)
        on_twin = {finding.id for finding in twin.findings} if twin else set()
        outcomes[outcome(verdict, peer.meanings, program.accepted, on_twin)] += 1
    ran = [verdicts[program.id].cpu for program in judged if verdicts[program.id].status == "ok"]
    return Row(outcomes, healthy, alarms, serious, sum(ran) / len(ran) if ran else 0.0)


def markdown(
    peers: Sequence[Peer], programs: Sequence[Program], verdicts: Mapping[str, Verdicts], missing: Mapping[str, str]
) -> str:
    """The table, and below it what was not measured and why."""
    faulty = sum(not program.healthy for program in programs)
    lines = [
        f"{faulty} faulty and {len(programs) - faulty} healthy programs.",
        "",
        "| peer | root cause first | among its findings | symptom only | misleading | silent | not run "
        "| false alarms on healthy (warning or worse) | CPU s a program | changes to the code | reference runs |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    notes = []
    for peer in peers:
        figures = row(peer, programs, verdicts.get(peer.name, {}))
        reason = missing.get(peer.name) or _all_refused(verdicts.get(peer.name, {}))
        if reason:
            lines.append(f"| {peer.title} |" + " . |" * 7 + f" . | {peer.changes} | {peer.references} |")
            notes.append(f"- {peer.title}: not measured: {reason}.")
            continue
        counts = " | ".join(str(figures.outcomes[name]) for name in OUTCOMES)
        alarms = f"{figures.alarms} ({figures.serious}) of {figures.healthy}"
        lines.append(f"| {peer.title} | {counts} | {alarms} | {figures.seconds:.1f} | {peer.changes} | {peer.references} |")
        notes += _notes(peer, verdicts.get(peer.name, {}))
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"


def _all_refused(verdicts: Verdicts) -> str:
    reasons = {verdict.reason for verdict in verdicts.values()}
    return reasons.pop() if len(reasons) == 1 and all(one.status != "ok" for one in verdicts.values()) else ""


def _notes(peer: Peer, verdicts: Verdicts) -> list[str]:
    kinds = Counter(verdict.note for verdict in verdicts.values() if verdict.note)
    refused = Counter(verdict.reason for verdict in verdicts.values() if verdict.status != "ok")
    said = [f"{name}: {count}" for name, count in sorted(kinds.items())]
    said += [f"not run, {reason}: {count}" for reason, count in refused.most_common(5)]
    return [f"- {peer.title}: {'; '.join(said)}."] if said else []


def meanings(peers: Sequence[Peer]) -> str:
    """The tables of meanings, as Markdown."""
    lines = []
    for peer in peers:
        if not peer.meanings:
            continue
        lines += [
            f"### {peer.title}",
            "",
            f"Reads {peer.reads}.",
            "",
            "| finding | asserts | lists as possible | |",
            "|---|---|---|---|",
        ]
        for identity, meaning in peer.meanings.items():
            mark = "symptom" if meaning.symptom else "misleading where wrong" if meaning.names else "names nothing of ours"
            lines.append(f"| `{identity}` | {', '.join(meaning.names)} | {', '.join(meaning.guesses)} | {mark} |")
        lines.append("")
    return "\n".join(lines)

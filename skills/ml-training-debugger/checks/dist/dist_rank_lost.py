"""One rank ended before the others."""

import re
from collections.abc import Iterator
from typing import Any

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.ranks import raised_at
from cognate.rules.training import where

# What the others say when a rank has gone: by gloo, NCCL, the store, and multiprocessing or torchrun about their children.
ECHOES = (
    "closed by peer", "reset by peer", "broken pipe", "connection refused", "connection closed", "timed out", "timeout", "nccl",
    "gloo", "store", "watchdog", "sigterm",
)  # fmt: skip
LAUNCHER = ("ProcessExitedException", "ProcessRaisedException", "ChildFailedError", "SignalException", "CalledProcessError")
# "process 1 terminated with signal SIGKILL" (multiprocessing), "rank : 1 … exitcode : -9" (torchrun's first failure).
BY_SIGNAL = (
    re.compile(r"process (?P<rank>\d+) terminated with signal (?P<signal>SIG[A-Z]+)"),
    re.compile(r"Root Cause.*?rank\s*:\s*(?P<rank>\d+).*?exitcode\s*:\s*-(?P<signal>\d+)", re.DOTALL),
)
# What multiprocessing raises in the process that started the ranks, with the traceback of the first that failed.
BY_EXCEPTION = re.compile(r"-- Process (\d+) terminated with the following error:")
_GROUP = {"kind": "rank", "name": "group", "world": 2, "step": 0, "n": 1}
_LOST = {"type": "ProcessExitedException", "message": "process 1 terminated with signal SIGKILL", "traceback": "", "site": None}
_INFO = {"recorded": [0, 1], "unfinished": [1], "crashed": []}


def _example(ended: int) -> Example:
    parts = {1: {"events": [{**_GROUP, "rank": 1}], "metrics": [{"step": step} for step in range(ended)]}}
    info: dict[str, Any] = {"ranks": _INFO if ended < 20 else {**_INFO, "unfinished": []}, "exit": {"code": int(ended < 20)}}
    info |= {"exception": _LOST} if ended < 20 else {}
    return Example(info=info, events=[{**_GROUP, "rank": 0}], metrics=[{"step": step} for step in range(20)], ranks=parts)


@rule(
    code="DIST107",
    name="dist-rank-lost",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.rank"},
    fires=_example(15),
    quiet=_example(20),
)
def dist_rank_lost(case: Case) -> Iterator[Said]:
    """One rank was killed or failed alone, and the run ended with it: what the other ranks raised is only the echo.

    The others fail in a collective call, with a closed connection or a timeout, and their tracebacks are the ones that are
    printed. A rank that a signal ended left no traceback; SIGKILL without a user behind it is most often the kernel's, because
    memory ran out. Ranks that all raise the same are no lost rank.
    """
    known = case.info.get("ranks")
    if not known:
        yield Skip("how the ranks ended was not recorded", "")
        return
    crashes = _crashes(case)
    killed = _killed(case, crashes)
    failed = (case.info.get("exit") or {}).get("code") != 0
    first = {rank: crash for rank, crash in crashes.items() if not _echo(crash)}
    if killed is not None:
        yield _by_signal(case, *killed)
    elif len(first) == 1 and len(case.ranks) > 1:
        yield _by_exception(case, *next(iter(first.items())), failed)
    elif failed and known.get("unfinished") and not crashes and not case.info.get("exception"):
        yield _broken_off(case)
    elif failed and (known.get("unfinished") or crashes) and not first:
        yield Skip("some ranks ended early, but nothing recorded tells which was the first", "")
    else:
        yield Clear(f"no rank of {len(case.ranks)} ended alone")


def _killed(case: Case, crashes: dict[int, dict[str, Any]]) -> tuple[int, str] | None:
    crash = case.info.get("exception") or {}
    text = f"{crash.get('message')}\n{crash.get('traceback')}"
    for pattern in BY_SIGNAL:
        found = pattern.search(text)
        if found and found["signal"] not in ("15", "SIGTERM"):  # that is how a launcher ends the others
            return int(found["rank"]), _name(found["signal"])
    unfinished = case.info["ranks"].get("unfinished") or []
    rest = [rank for rank in case.ranks if rank not in unfinished]
    if len(unfinished) == 1 and rest and all(rank in crashes and _echo(crashes[rank]) for rank in rest):
        return int(unfinished[0]), "a signal"
    return None


def _name(signal: str) -> str:
    return {"4": "SIGILL", "6": "SIGABRT", "7": "SIGBUS", "8": "SIGFPE", "9": "SIGKILL", "11": "SIGSEGV"}.get(
        signal, signal if signal.startswith("SIG") else f"signal {signal}"
    )


def _crashes(case: Case) -> dict[int, dict[str, Any]]:
    """What each rank raised; the lowest shares its place in the case with the process that started it."""
    known = case.info["ranks"]
    found = {rank: part.info.get("exception") for rank, part in case.ranks.items()}
    crashes = {
        rank: dict(crash)
        for rank, crash in found.items()
        if crash and (case.ranks[rank] is not case or rank in (known.get("crashed") or ()))
    }
    text = str((case.info.get("exception") or {}).get("message"))
    child = BY_EXCEPTION.search(text)
    # Ranks that ended in order have raised as well: then nobody can say that one of them was alone.
    if child and not crashes and known.get("unfinished"):
        last = next((line for line in reversed(text.splitlines()) if re.match(r"[A-Za-z_.]+(:|$)", line)), "an exception")
        kind, _, message = last.partition(":")
        return {int(child[1]): {"type": kind, "message": message.strip(), "site": raised_at(case, text)}}
    return crashes


def _echo(crash: dict[str, Any]) -> bool:
    text = str(crash.get("message")).lower()
    return crash.get("type") in LAUNCHER or any(word in text for word in ECHOES)


def _steps(case: Case) -> Evidence:
    done = {rank: len(part.metrics) for rank, part in case.ranks.items()}
    return Evidence("optimizer steps that were recorded, by rank", done, "equal", "metrics.jsonl, rank-N/metrics.jsonl")


def _by_signal(case: Case, rank: int, signal: str) -> Finding:
    part = case.ranks.get(rank)
    steps = len(part.metrics) if part is not None else 0
    memory = signal in ("SIGKILL", "a signal")
    return Finding(
        title=f"rank {rank} was ended by {signal} after step {steps}, and the other ranks failed because it was gone",
        proof=Proof.MEASUREMENT,
        evidence=(_steps(case), Evidence("how the rank ended", signal, "exit code 0", "case.json")),
        onset_step=steps,
        fix=Fix(
            "Look for the out-of-memory killer in the kernel's log (dmesg) and for the limits of the container or the scheduler."
            if memory
            else "Run that rank with `python -X faulthandler` to see the line that compiled code failed at."
        ),
    )


def _broken_off(case: Case) -> Finding:
    ended = case.info["ranks"]["unfinished"]
    return Finding(
        title=f"{len(ended)} of {len(case.ranks)} ranks broke off without an exception: one was killed, or "
        "the whole run was stopped",
        proof=Proof.INFERENCE,
        evidence=(_steps(case), Evidence("ranks that broke off", ended, "none", "case.json")),
        onset_step=case.steps,
        fix=Fix(
            "See in the launcher's output which rank failed first, and by which signal: SIGKILL is most often the out-of-memory "
            "killer's (dmesg); where the whole run was stopped, by a user or a time limit, nothing is wrong."
        ),
        severity=Severity.WARNING,
    )


def _by_exception(case: Case, rank: int, crash: dict[str, Any], failed: bool) -> Finding:
    site = crash.get("site")
    echo, anew = "the other ranks failed because it was gone", "the ranks that were started again are not in the record"
    return Finding(
        title=f"rank {rank} alone raised {crash.get('type')} at {where(site)}, and {echo if failed else anew}",
        proof=Proof.MEASUREMENT,
        evidence=(
            _steps(case),
            Evidence("its exception", str(crash.get("message"))[:120], "none", "case.json, rank-N/recorder.json"),
        ),
        location=Location.of(site),
        onset_step=len(case.ranks[rank].metrics),
        fix=Fix("Mend what this rank raised; what the others raised is the broken connection."),
        severity=None if failed else Severity.WARNING,
    )

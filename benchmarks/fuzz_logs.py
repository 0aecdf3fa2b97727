"""Damaged logs through every reader: none may crash, hang or outgrow its memory, and each refusal is one sentence.

    python -m benchmarks.fuzz_logs [--inputs 20000] [--seed 1] [--logs FOLDER]

Small logs of the known formats, made here, and the files of FOLDER where one is given, are cut, torn, joined and polluted.
Every input is written to a file of its usual name and read as `cognate doctor` reads it. Prints counts by log; exit code 1
where an input crashed, took longer than ten CPU seconds, or was refused in other words than one sentence; such inputs are kept.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from benchmarks.made_logs import made
from cognate.errors import CaseError
from cognate.observe.logs import import_run, text

SECONDS = 10
MEMORY = 6 << 30  # address space; polars maps much that it never touches
LARGEST_LOG = 300_000

TOKENS = [
    *(
        b"NaN",
        b"nan",
        b"Infinity",
        b"-inf",
        b"1e999",
        b"-1e-400",
        b"9" * 400,
        b"0x10",
        b"1_000",
        b"1,000",
        b"null",
        b"None",
        b"true",
    ),
    *(
        b'"',
        b'""',
        b"'",
        b",",
        b"\t",
        b";",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b"\n",
        b"\r\n",
        b"\r",
        b"\0",
        b"\0" * 300,
        b"\xff\xfe",
        b"\xef\xbb\xbf",
    ),
    *(
        b"\x1b[31m",
        b"\\ud800",
        b"\xed\xa0\x80",
        "é".encode(),
        "１".encode(),
        b"<<<<<<< HEAD\n",
        b"=======\n",
        b"[" * 5000,
        b'{"a":' * 3000,
        b"(" * 500,
    ),
    *(
        b"loss",
        b"val_loss",
        b"step",
        b"epoch",
        b"1700000000",
        b"-1",
        b"99999999999999999999",
        b"2024-01-01 10:00:00",
        b"1:02:03",
        b"%s",
        b"$(x)",
    ),
]


def mutated(log: bytes, other: bytes, chance: random.Random) -> bytes:
    """`log` after one to five accidents; `other` is a log that may get into it."""
    for _ in range(chance.randint(1, 5)):
        size = len(log)
        at = chance.randrange(size + 1)
        to = min(size, at + int(chance.paretovariate(0.7)))
        rows = log.split(b"\n")
        row = chance.randrange(len(rows))
        accident = chance.randrange(14)
        if accident == 0:
            log = log[:at]
        elif accident == 1:
            log = log[:at] + log[to:]
        elif accident == 2:
            log = log[:to] + log[at:to] * chance.randint(1, 50) + log[to:]
        elif accident == 3:
            log = log[:at] + chance.choice(TOKENS) + log[at:]
        elif accident == 4:
            log = log[:at] + chance.choice(TOKENS) + log[to:]
        elif accident == 5:
            log = log[:at] + chance.randbytes(to - at) + log[to:]
        elif accident == 6 and at < size:
            log = log[:at] + bytes([log[at] ^ 1 << chance.randrange(8)]) + log[at + 1 :]
        elif accident == 7:
            log = log[:at] + other + log[at:]
        elif accident == 8:
            log = b"\n".join(rows[:row] + [rows[row]] * chance.randint(2, 300) + rows[row:])
        elif accident == 9:
            chance.shuffle(rows)
            log = b"\n".join(rows)
        elif accident == 10:
            log = b"\n".join(rows[:row] + rows[row + 1 :])
        elif accident == 11:
            log = log.decode("latin-1").encode(chance.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig"]))
        elif accident == 12:
            log = log.replace(chance.choice([b",", b"\n", b" ", b":", b"."]), chance.choice(TOKENS), chance.randint(1, 30))
        elif accident == 13:
            numbers = [index for index, letter in enumerate(log) if 48 <= letter <= 57]
            spot = chance.choice(numbers) if numbers else at
            log = log[:spot] + chance.choice(TOKENS) + log[spot + 1 :]
        log = log[: 4 * LARGEST_LOG]
    return log


class Hung(BaseException):
    """Not an Exception: no reader may swallow it."""


def outcome(file: Path, case: Path) -> str:
    """ "read", "refused", or what went wrong."""
    try:
        import_run(file, case)
    except CaseError as error:
        said = str(error)
        return "refused" if said and "\n" not in said and said.endswith((".", "?", "`")) else f"refused with {said!r}"
    except Hung:
        return f"hung for {SECONDS} CPU seconds"
    except BaseException as error:  # MemoryError, SystemExit, RecursionError and a panic of polars are what is looked for
        return f"crashed with {type(error).__name__}: {error}"
    json.loads((case / "case.json").read_text(encoding="utf-8"), parse_constant=_no_constant)
    for line in (case / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        json.loads(line, parse_constant=_no_constant)
    return "read"


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--inputs", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--logs", type=Path, help="a folder of real logs, which are damaged as well")
    told = options.parse_args()
    logs = {(name, name): content for name, content in made().items()}
    for file in sorted(told.logs.rglob("*")) if told.logs else []:
        if file.is_file():
            logs[(f"{file.parent.name}/{file.name}", file.name)] = file.read_bytes()[:LARGEST_LOG]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGPROF, _hang)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    slowest, wrong = (0.0, ""), []
    small, piece = text.SMALL, text.PIECE
    folder = Path(tempfile.mkdtemp(prefix="cognate-fuzz-"))
    for number in range(told.inputs):
        chance = random.Random(f"{told.seed} {number}")
        shown, name = chance.choice(list(logs))
        content = mutated(logs[(shown, name)], chance.choice(list(logs.values())), chance)
        # Every fourth is read as a log of many gigabytes would be.
        text.SMALL, text.PIECE = (
            (-1, max(len(content) // 50, chance.choice([64, 1000, 30_000]))) if number % 4 == 0 else (small, piece)
        )
        run = folder / "run"
        run.mkdir()
        (run / name).write_bytes(content)
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            result = outcome(run / name, folder / "case")
        except Exception as error:
            result = f"wrote a case that is none: {error}"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        slowest = max(slowest, (time.process_time() - began, f"{shown}, input {number}"))
        kind = result if result in ("read", "refused") else "wrong"
        counts[shown][kind] += 1
        if kind == "wrong":
            kept = folder / f"{number}-{name}"
            shutil.copy(run / name, kept)
            wrong.append(f"{kept}: {result[:300]}")
        shutil.rmtree(run)
        shutil.rmtree(folder / "case", ignore_errors=True)
    for shown, found in sorted(counts.items()):
        print(f"{shown:45} read {found['read']:6}  refused {found['refused']:6}  wrong {found['wrong']:4}")
    every = sum(counts.values(), Counter[str]())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{told.inputs} inputs: {every['read']} read, {every['refused']} refused in one sentence, {every['wrong']} wrong")
    print(f"slowest {slowest[0]:.2f} s ({slowest[1]}), peak memory {peak:.0f} MB")
    print("\n".join(wrong[:50]))
    return 1 if wrong else 0


def _hang(*_: object) -> None:
    raise Hung


if __name__ == "__main__":
    sys.exit(main())

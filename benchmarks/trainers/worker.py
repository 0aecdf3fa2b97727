"""A process that is started once and then measures when it is asked to, so that variants take turns without starting anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

BENCHMARKS = Path(__file__).parent.parent


def environment() -> dict[str, str]:
    """One thread, and the benchmarks importable."""
    path = os.pathsep.join(filter(None, [str(BENCHMARKS), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


class Worker:
    """The parent's end. The process starts at once; `wait` returns when it is ready to be asked."""

    def __init__(self, errors: IO[str], module: str, *arguments: object) -> None:
        self._name = " ".join([module, *map(str, arguments)])
        self._errors = errors  # a file and not a pipe: a talkative library would fill one that nobody reads
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def wait(self) -> None:
        """Until it has started."""
        self._answer()

    def ask(self, question: object = "") -> dict[str, Any]:
        """Let it measure once."""
        assert self._process.stdin is not None
        print(question, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            self._errors.seek(0)
            raise SystemExit(f"{self._name} ended with {status}: {self._errors.read()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Let it end, which it does where there are no more questions."""
        self._process.communicate()


@contextmanager
def workers(module: str, variants: Iterable[tuple[object, ...]]) -> Iterator[list[Worker]]:
    """One process for each of `variants`, all ready."""
    with ExitStack() as stack:
        started = [Worker(stack.enter_context(tempfile.TemporaryFile("w+")), module, *variant) for variant in variants]
        for worker in started:
            stack.callback(worker.close)
        for worker in started:
            worker.wait()
        yield started


def serve(measure: Callable[[str], dict[str, Any]]) -> None:
    """The child's end: answer each line of standard input. What else is printed goes nowhere, at its usual cost."""
    replies = os.fdopen(os.dup(1), "w")
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    print("{}", file=replies, flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(line.strip())), file=replies, flush=True)


def memory(field: str) -> int:
    """`VmRSS`, the memory that this process has now, or `VmHWM`, the most it ever had, in bytes (proc(5)).

    Not `ru_maxrss`: a child inherits that of the process that started it.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"/proc/self/status has no {field}: this benchmark needs Linux.")

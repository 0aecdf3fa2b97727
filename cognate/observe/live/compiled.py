"""What torch.compile did: how often each function was compiled, why again, and how long it took. Read once, at the end."""

from __future__ import annotations

import sys
import time
from typing import Any

from cognate.observe.live.recorder import Recorder, guarded

MOST_FUNCTIONS = 50


class Compiled:
    """Asks the compiler for its own account of the run; it keeps one, whether or not anybody asks."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def install(self) -> None:
        """Read the account when the run is over."""
        self.recorder.at_finish.append(guarded(self.recorder, "compile")(self._write))

    def _write(self) -> None:
        utilities = sys.modules.get("torch._dynamo.utils")
        if utilities is None:
            return
        groups: dict[tuple[str, int], list[Any]] = {}
        for entry in utilities.get_compilation_metrics():
            if entry.co_filename and entry.is_forward is not False:
                groups.setdefault((entry.co_filename, entry.co_firstlineno or 0), []).append(entry)
        config = sys.modules.get("torch._dynamo.config")
        for (filename, line), entries in list(groups.items())[:MOST_FUNCTIONS]:
            self._one(filename, line, entries, getattr(config, "recompile_limit", None))

    def _one(self, filename: str, line: int, entries: list[Any], limit: int | None) -> None:
        recorder = self.recorder
        file = recorder.sites.first_party(filename)
        name = entries[0].co_name
        begun = time.time() - (time.perf_counter() - recorder.started)
        recorder.event(
            "compile",
            {"file": file, "line": line, "function": name} if file else None,
            function=name,
            count=len(entries),
            limit=limit,
            seconds=round(sum(entry.entire_frame_compile_time_s or 0.0 for entry in entries), 3),
            at=[round(entry.start_time - begun, 3) for entry in entries if entry.start_time],
            reasons=[str(entry.recompile_reason)[:300] for entry in entries if entry.recompile_reason][-3:],
            failed=sum(entry.fail_type is not None for entry in entries),
        )

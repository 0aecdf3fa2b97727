"""What a text log says about how a run went besides its numbers: its crash, its endings, the steps it skipped."""

from __future__ import annotations

import re
from typing import Any

_LONGEST = 400  # lines of a traceback that are kept; the middle of a longer one says the same again and again
_LARGEST = 8000  # characters of it
_RANK = re.compile(
    r"^\s*(?:\[\s*(?:rank|default|gpu|cuda|worker|node)\s*[:#]?\s*(\d+)\s*\]|\(\w*Worker\w* (?:rank=|pid=)(\d+)[^)]*\)"
    r"|(?:rank|RANK|Rank)[ _]?(\d+)(?=\s*[:|\]]))\s*[:|]?\s?",
    re.IGNORECASE,
)
_OPENS = re.compile(r"(?:^|\s|:)Traceback \(most recent call last\):")
_RAISED = re.compile(
    r"^(?P<type>(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Warning|Failure|OOM|Timeout)\w*)"
    r"(?::\s?(?P<message>.*))?$"
)
_CHAINED = ("During handling of the above exception", "The above exception was the direct cause")
# They report that a child process failed, whose own traceback stands above.
_LAUNCHERS = ("ChildFailedError", "CalledProcessError", "ProcessRaisedException", "ProcessExitedException", "RayTaskError")
_SITE = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')
_SKIPS = re.compile(
    r"(?:OVERFLOW!|[Gg]radient overflow).*?[Ss]kipping|[Ll]oss is (?:nan|NaN|inf)\w*.{0,40}?[Ss]kip|"
    r"[Ss]kipping (?:step|batch|update|iteration)\b.{0,80}?(?:nan|NaN|inf|overflow)|(?:nan|NaN|inf) .{0,60}[Ss]kipping"
)
_STOPPED = re.compile(r"(?:[Ll]oss is (?:nan|NaN|inf)\w*.{0,20}|NaN loss.{0,20})[Ss]top")
_EARLY = re.compile(
    r"(?<!no )[Ee]arly[ _]?[Ss]topping\b(?!\s*(?:patience|counter|=|:|callback|is|will))|"
    r"EarlyStopping: Stopping|[Ss]topping early"
)
_ENDED = re.compile(
    r"[Ee]nd of training|[Tt]raining (?:is |was |has )?(?:finished|completed?|done)\b|[Ff]inished training|[Tt]raining complete"
)
_KILLED = re.compile(
    r"(?P<limit>(?:JOB \d+ .{0,60})?CANCELLED.{0,60}DUE TO TIME LIMIT)|(?P<cancelled>JOB \d+ .{0,60}CANCELLED)|"
    r"(?P<oom>oom-kill|Out of memory: Killed)|"
    r"(?P<killed>^Killed\s*$|^\S+: line \d+:\s+\d+ Killed)|(?P<fault>Segmentation fault|Bus error|core dumped)"
)
_WORDS = {
    "limit": "the scheduler's time limit",
    "cancelled": "the scheduler cancelled it",
    "oom": "the system ran out of memory and killed it",
    "killed": "it was killed",
    "fault": "the process crashed",
}


class Endings:
    """Reads the lines that are no metrics; `open` while inside a traceback."""

    def __init__(self) -> None:
        self.open = False
        self.skipped = 0  # steps that were skipped because a gradient or the loss was not finite
        self.finished = False
        self.stopped_early = False
        self.stopped_at_nan = False
        self.killed = ""
        self._exceptions: list[dict[str, Any]] = []  # of the tail of the log: metrics after them mean that the run went on
        self._survived = 0
        self._lines: list[str] = []
        self._chained = False

    def see(self, line: str) -> None:
        """Take in a line that holds no metric."""
        line = untagged(line)[1].rstrip()
        if _OPENS.search(line):
            self.open, self._lines = True, [*(self._lines if self._chained else []), line]
            self._chained = False
        elif self.open:
            self._inside(line)
        elif line.startswith(_CHAINED):
            self._chained = True
        elif line:
            self._event(line)

    def went_on(self) -> None:
        """A metric follows: what was raised before did not end the run."""
        if self._exceptions:
            self._survived += 1
            self._exceptions.clear()
        self.killed, self.finished, self.stopped_early, self._chained = "", False, False, False

    @property
    def exception(self) -> dict[str, Any] | None:
        """The crash of the run as in `case.json`: of several the one that was raised last, before what a launcher says of it."""
        if self.open and len(self._lines) > 1:
            self._close("", "")  # the log breaks off within the traceback
        own = [one for one in self._exceptions if not one["type"].endswith(_LAUNCHERS)]
        # Every rank of a crashed job raises; later ones often only say that the first is gone.
        return own[0] if own else self._exceptions[0] if self._exceptions else None

    def facts(self) -> dict[str, Any]:
        """What is worth telling in `case.json`."""
        said = {
            "skipped_steps": self.skipped,
            "stopped_early": self.stopped_early,
            "stopped_at_nan": self.stopped_at_nan,
            "killed": self.killed,
            "exceptions_survived": self._survived,
        }
        return {name: value for name, value in said.items() if value}

    def _inside(self, line: str) -> None:
        raised = _RAISED.match(line)
        if len(self._lines) < _LONGEST or raised:
            self._lines.append(line)
        if raised:
            self._close(raised["type"], raised["message"] or "")
        elif line and not line.startswith((" ", "\t")) and not line.startswith(_CHAINED) and len(self._lines) > 3:
            # An exception of an unusual name, or the frame of a native extension.
            name, colon, message = line.partition(":")
            self._close(name if re.fullmatch(r"[\w.]{3,80}", name) else "", message.strip() if colon else line)

    def _close(self, kind: str, message: str) -> None:
        text = "\n".join(self._lines)
        if len(text) > _LARGEST:
            text = text[: _LARGEST // 2] + "\n…\n" + text[-_LARGEST // 2 :]
        crash: dict[str, Any] = {"type": kind.rpartition(".")[2], "message": message[:1000], "traceback": text}
        places = [found for found in map(_SITE.match, self._lines) if found and "site-packages" not in found["file"]]
        if places:
            last = places[-1]
            crash["site"] = {"file": last["file"], "line": int(last["line"]), "function": last["function"]}
        if len(self._exceptions) < 64:
            self._exceptions.append(crash)
        self.open = False

    def _event(self, line: str) -> None:
        if _SKIPS.search(line):
            self.skipped += 1
        elif _STOPPED.search(line):
            self.stopped_at_nan = True
        elif _EARLY.search(line):
            self.stopped_early = True
        elif _ENDED.search(line):
            self.finished = True
        elif raised := _RAISED.match(line):
            if raised["message"] and not raised["type"].endswith("Warning") and len(self._exceptions) < 64:
                self._exceptions.append(
                    {"type": raised["type"].rpartition(".")[2], "message": raised["message"][:1000], "traceback": line}
                )
        elif killed := _KILLED.search(line):
            self.killed = next(_WORDS[name] for name, text in killed.groupdict().items() if text)


def untagged(line: str) -> tuple[str, str]:
    """The rank that a launcher put before the line ("" where none), and the line without it."""
    found = _RANK.match(line) if line[:1] in "[( rR" else None
    if found is None:
        return "", line
    return next(group for group in found.groups() if group), line[found.end() :]

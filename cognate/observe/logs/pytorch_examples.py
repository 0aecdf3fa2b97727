"""The lines of PyTorch's examples, which many scripts copy: ImageNet's meters, MNIST, and the word language model.

A meter prints the value of the last batch and, in brackets, the mean so far. Of training the batch is the curve; of an
evaluation only the mean over all its batches says anything.
"""

from __future__ import annotations

import re
from pathlib import Path

from cognate.observe.logs.points import Told
from cognate.observe.logs.run import ForeignRun
from cognate.observe.logs.textlog import TextLog, find_text, signature

FORMAT = "the printed log of a PyTorch example"
GENERIC = 2  # text: where a folder has a table or a database too, that tells more
_VALUE = r"([-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf))"
_BATCHES = re.compile(rf"^\| epoch\s+(\d+) \|\s*(\d+)/\s*(\d+) batches \| lr {_VALUE} \| ms/batch\s+\S+ \| loss\s+{_VALUE}")
_EPOCH_END = re.compile(rf"^\| end of epoch\s+(\d+) \|.*?valid loss\s+{_VALUE}")
_METERS = re.compile(
    r"^(?:Epoch|Train(?:ing)?|Test|Val(?:idation)?|Eval(?:uation)?):?\s*(?:\[(\d+)\])?\s*\[\s*(\d+)/(\d+)\]\s"
    r"(?=.*\d ?\(\s{0,9}(?:\d|nan|inf))"
)
_METER = re.compile(
    rf"([A-Za-z][\w@./]{{0,40}}(?: [\w@./]{{1,20}}){{0,2}}):?\s{{1,9}}{_VALUE}(?:\s{{0,9}}\(\s{{0,9}}{_VALUE}\))?(?=\s|$)"
)
_MEANS = re.compile(r"^\s*\*+\s+\S*Acc@1")
_MEAN = re.compile(rf"([A-Za-z][\w@]*):?\s+{_VALUE}")
_MNIST = re.compile(rf"^Train Epoch: (\d+) \[\s*(\d+)/(\d+) \(\d+%\)\]\s*Loss: {_VALUE}")
_TESTED = re.compile(rf"^Test set: Average loss: {_VALUE}(?:, Accuracy: (\d+)/(\d+))?")
_SIGN = re.compile("|".join(one.pattern for one in (_BATCHES, _METERS, _MNIST)))
_SPEEDS = ("time", "data", "eta", "max mem", "mem", "memory", "batch time", "data time")
fits = signature(_SIGN)


def find(path: Path) -> Path | None:
    """The text file that `path` is or holds with at least two such lines."""
    return find_text(path, fits)


def read(file: Path) -> ForeignRun:
    """Read the lines. Raises CaseError where there is none."""
    log = _Example(file)
    log.read()
    return log.run()


class _Example(TextLog):
    def __init__(self, file: Path) -> None:
        super().__init__(file, "pytorch example", self._parse)
        self._means: list[tuple[str, float]] = []  # of the evaluation under way

    def _parse(self, line: str) -> Told | None:
        first = line[:1]
        if first == "|":
            found = _BATCHES.match(line)
            if found is not None:
                epoch, step, total, rate, loss = map(float, found.groups())
                return Told([("lr", rate), ("loss", loss)], step, total, epoch)
            found = _EPOCH_END.match(line)
            return Told([("valid loss", float(found[2]))], None, None, float(found[1])) if found else None
        if first not in "ETV *\t":
            return None
        if found := _MNIST.match(line):
            epoch, seen, size, loss = map(float, found.groups())
            # It counts samples: how far the epoch is, but no steps.
            return Told([("loss", loss)], None, None, epoch - 1 + seen / size if size else epoch)
        if found := _TESTED.match(line):
            right, tested = found[2], float(found[3] or 0)
            accuracy = [("test accuracy", float(right) / tested)] if tested else []
            return Told([("test loss", float(found[1])), *accuracy])
        return self._meters(line)

    def _meters(self, line: str) -> Told | None:
        found = _METERS.match(line)
        if found is None:
            if not _MEANS.match(line):
                return None
            means = [*self._means, *((f"val {name}", float(text)) for name, text in _MEAN.findall(line))]
            self._means = []
            return Told(list(dict(means).items()))
        meters = [meter for meter in _METER.findall(line, found.end()) if meter[0].lower() not in _SPEEDS]
        if line.startswith(("Epoch", "Train")):
            epoch = float(found[1]) if found[1] else None
            return Told([(name, float(last)) for name, last, _ in meters], float(found[2]), float(found[3]), epoch)
        self._means = [(f"val {name}", float(mean)) for name, _, mean in meters if mean]
        return Told([])

"""What the Hugging Face Trainer prints: one Python dict a log, numbers as floats (v4) or as strings (v5), between bars.

Axolotl's debug.log, TRL's trainers and LLaMA-Factory print the same behind the prefixes of a logger.
"""

from __future__ import annotations

import re
from pathlib import Path

from cognate.observe.logs.points import Told
from cognate.observe.logs.run import ForeignRun
from cognate.observe.logs.textlog import TextLog, find_text, number, signature

FORMAT = "the printed log of a Hugging Face Trainer"
GENERIC = 2  # text: where a folder has a table or a database too, that tells more
_DICT = re.compile(r"\{'[^{}]*\}")
_WRAPPED = re.compile(r"(?:np\.float\d+|tensor)\(([-+]?[\w.+-]+)")
_SIGN = re.compile(r"\{'[\w/ .-]+': [^{}]*'(?:epoch|learning_rate|eval_\w+|train_runtime)': [^{}]*\}")
# Means over the whole run and speeds: no points of a curve.
_BY_PRODUCTS = ("_runtime", "_per_second", "total_flos", "_flops", "num_tokens", "num_input_tokens_seen", "memory")
fits = signature(_SIGN)


def find(path: Path) -> Path | None:
    """The text file that `path` is or holds with at least two such dicts."""
    return find_text(path, fits)


def read(file: Path) -> ForeignRun:
    """Read the dicts. Raises CaseError where none has a number."""
    log = _Dicts(file)
    log.read()
    # The Trainer prints the summary when it is done and at no other time.
    return log.run({"train_runtime": log.runtime} if log.runtime is not None else None)


class _Dicts(TextLog):
    def __init__(self, file: Path) -> None:
        super().__init__(file, "huggingface printed log", self._parse)
        self.runtime: float | None = None

    def _parse(self, line: str) -> Told | None:
        if "{'" not in line:
            return None
        found = _DICT.search(line)
        if found is None:
            return None
        values = []
        step = epoch = None
        for pair in found[0][2:-1].split(", '"):
            name, _, text = pair.partition("': ")
            value = number(text.strip("'"))
            if value is None:
                value = _wrapped(text)
                if value is None:
                    continue
            if name == "epoch":
                epoch = value
            elif name in ("step", "global_step"):
                step = value
            elif name == "train_runtime":
                self.runtime = value
            elif not name.endswith(_BY_PRODUCTS) and "memory" not in name:
                values.append((name, value))
        if "'train_runtime'" in found[0]:
            self.endings.finished = True
            return None
        return Told(values, step, None, epoch) if values else None


def _wrapped(text: str) -> float | None:
    """The number in `np.float64(0.5)`, as NumPy 2 prints it."""
    found = _WRAPPED.match(text)
    return number(found[1]) if found else None

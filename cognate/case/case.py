"""The `Case`: all the evidence about one subject, read lazily from its folder or given in memory."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cognate.case.formats import TRAINING_SCHEMA
from cognate.case.store import read_json, read_rows
from cognate.case.table import Rows, Table, read_table
from cognate.errors import CaseError

if TYPE_CHECKING:
    from cognate.case.schema import (
        CaseInfo,
        EnvironmentInfo,
        Event,
        LayersRow,
        ModelInfo,
        ProbeResult,
        TrainingInfo,
    )


class Case:
    """Evidence, read only. Everything that judges takes one of these and nothing else."""

    def __init__(self, folder: Path | None = None, parts: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self._parts = parts or {}

    @classmethod
    def open(cls, path: str | Path) -> Case:
        """Open the case in folder `path`. Raises CaseError where there is none."""
        folder = Path(path)
        if not folder.exists():
            raise CaseError(f"There is no {folder}: give a case folder, such as the one that `cognate run` names.")
        if not (folder / "case.json").is_file():
            raise CaseError(f"{folder} is not a case, it has no case.json: record one with `cognate run SCRIPT`.")
        case = cls(folder)
        if not isinstance(case._document("case.json"), dict):
            raise CaseError(f"{folder}/case.json does not hold an object: record the run again.")
        return case

    @classmethod
    def of(cls, **parts: Any) -> Case:
        """Make a case in memory from `info`, `metrics`, `layers`, `events`, `probes`, `trace`, `model`, `source`, …."""
        return cls(None, parts)

    def _document(self, name: str) -> Any:
        path = cast(Path, self.folder) / name
        return read_json(path) if path.is_file() else {}

    def _rows(self, part: str) -> list[dict[str, Any]]:
        if self.folder is None:
            return list(self._parts.get(part, ()))
        return list(read_rows(self.folder / f"{part}.jsonl"))

    def _mapping(self, part: str, file: str) -> dict[str, Any]:
        value = self._parts.get(part, {}) if self.folder is None else self._document(file)
        return value if isinstance(value, dict) else {}

    @cached_property
    def info(self) -> CaseInfo:
        """What ran (`case.json`); of the part of a further rank, how it ended (`recorder.json`)."""
        return cast("CaseInfo", self._mapping("info", "case.json") or self._mapping("info", "recorder.json"))

    @cached_property
    def model(self) -> ModelInfo:
        """Modules, parameters, optimizers (`model.json`)."""
        return cast("ModelInfo", self._mapping("model", "model.json"))

    @cached_property
    def environment(self) -> EnvironmentInfo:
        """Interpreter, path, imports (`environment.json`)."""
        return cast("EnvironmentInfo", self._mapping("environment", "environment.json"))

    @cached_property
    def metrics(self) -> Table:
        """One row a step (`metrics.jsonl`): rows to walk over, or columns to ask for."""
        return Rows(self._parts.get("metrics", ())) if self.folder is None else read_table(self.folder / "metrics.jsonl")

    @cached_property
    def layers(self) -> list[LayersRow]:
        """One wide row a sampled step (`layers.jsonl`)."""
        return cast("list[LayersRow]", self._rows("layers"))

    @cached_property
    def all_events(self) -> list[Event]:
        """Every event in order (`events.jsonl`)."""
        return cast("list[Event]", sorted(self._rows("events"), key=lambda event: event.get("n", 0)))

    @cached_property
    def probes(self) -> list[ProbeResult]:
        """Experiments (`probes.jsonl`)."""
        return cast("list[ProbeResult]", self._rows("probes"))

    @cached_property
    def trace(self) -> list[dict[str, Any]]:
        """The traced data flow of single windows (`trace.jsonl`)."""
        return self._rows("trace")

    @cached_property
    def training(self) -> TrainingInfo | None:
        """What `cognate train` measured (`training.json`); None where there is none, or none that this version can read."""
        try:
            found = self._mapping("training", "training.json")
        except CaseError:  # torn, or not JSON at all: the rest of the case is evidence all the same
            return None
        return cast("TrainingInfo", found) if found.get("schema") == TRAINING_SCHEMA and _shallow(found) else None

    @cached_property
    def training_log(self) -> list[dict[str, Any]]:
        """The journal of `cognate train`, one row a logged step or evaluation (`training.jsonl`)."""
        rows = self._parts.get("training_log", ()) if self.folder is None else read_rows(self.folder / "training.jsonl")
        return [row for row in rows if isinstance(row.get("step"), int)]

    @cached_property
    def _by_kind(self) -> dict[str, list[dict[str, Any]]]:
        kinds: dict[str, list[dict[str, Any]]] = {}
        for event in self.all_events:
            kinds.setdefault(str(event.get("kind")), []).append(cast("dict[str, Any]", event))
        return kinds

    def events(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """Events of `kind` whose fields equal `fields`."""
        found = self._by_kind.get(kind, [])
        if not fields:
            return found
        return [event for event in found if all(event.get(key) == value for key, value in fields.items())]

    def probe(self, name: str) -> list[dict[str, Any]]:
        """Results of the experiments called `name` that ran."""
        return [cast("dict[str, Any]", row) for row in self.probes if row.get("probe") == name and row.get("status") == "ok"]

    def probe_reason(self, name: str) -> str | None:
        """Why the probe `name` did not run, or None where that is not known."""
        reasons = [str(row.get("reason")) for row in self.probes if row.get("probe") == name and row.get("reason")]
        return reasons[-1] if reasons else None

    @cached_property
    def calls(self) -> Counter[str]:
        """How often each training-loop call was made over the whole run."""
        total: Counter[str] = Counter()
        for event in self.events("call_counts"):
            total.update({str(name): int(count) for name, count in event.get("counts", {}).items()})
        return total

    @cached_property
    def ranks(self) -> dict[int, Case]:
        """The parts of a run of several processes, by rank; the lowest rank is this case itself. Empty for a single process."""
        group = next((event for event in self.events("rank") if event.get("name") == "group"), None)
        if group is None:
            return {}
        found = {int(group.get("rank", 0)): self}
        if self.folder is None:
            found.update({int(rank): Case.of(**parts) for rank, parts in self._parts.get("ranks", {}).items()})
            return found
        parts = {part.name[5:]: part for part in self.folder.glob("rank-*") if part.is_dir()}
        found.update({int(rank): Case(part) for rank, part in parts.items() if rank.isdigit()})
        return dict(sorted(found.items()))

    @cached_property
    def source(self) -> dict[str, str]:
        """The script and its first-party modules: file name to text."""
        if self.folder is None:
            return dict(self._parts.get("source", {}))
        root = self.folder / "source"
        if not root.is_dir():
            return {}
        return {
            path.relative_to(root).as_posix(): path.read_text(encoding="utf-8", errors="replace")
            for path in sorted(root.rglob("*.py"))
        }

    @cached_property
    def trees(self) -> dict[str, ast.Module]:
        """Parsed sources; a file that does not parse is left out."""
        parsed: dict[str, ast.Module] = {}
        for name, text in self.source.items():
            try:
                parsed[name] = ast.parse(text)
            except (SyntaxError, ValueError):
                continue
        return parsed

    @property
    def steps(self) -> int:
        """Optimizer steps that the run made."""
        seen = self.info.get("integrity", {}).get("steps_seen")
        return int(seen) if seen else int(max((step for step in self.metrics.take("step")[1] if step is not None), default=0))


def _shallow(value: Any, levels: int = 20) -> bool:
    """Whether `value` is nested no deeper than `levels`: what is, was not written by us, and no recursion should follow it."""
    if not isinstance(value, (dict, list)):
        return True
    inside = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_shallow(item, levels - 1) for item in inside)

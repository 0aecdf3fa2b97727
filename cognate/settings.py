"""Reads `[tool.cognate]` of pyproject.toml, or `cognate.toml`: the nearest upwards from the working directory."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from cognate.errors import SettingsError
from cognate.rules.model import Rule
from cognate.rules.runner import Selection, matches

if TYPE_CHECKING:
    from pydantic import BaseModel

FailOn = Literal["error", "warning", "never"]
Role = Literal["step", "epoch", "t", "loss", "val_loss", "lr", "grad_norm"]

# What each key holds, in the words of the error message.
_EXPECTED = {
    "select": 'a list of rule names, codes or families, such as ["LOSS", "dead-relu"]',
    "ignore": 'a list of rule names or codes, or a table of name = "reason"',
    "rules": "a table for each rule, such as [tool.cognate.rules.NAME] with its thresholds",
    "skills": "a list of folders",
    "columns": 'a table of role = "column", such as loss = "my_loss"; roles are step, epoch, t, loss, val_loss, lr, grad_norm',
    "gate": "a table with fail-on and baseline",
    "gate.fail-on": '"error", "warning" or "never"',
    "gate.baseline": "the name of a file",
}


@dataclass(frozen=True)
class Settings:
    """What the project decided: which rules run, with which thresholds, and what makes the gate fail."""

    select: tuple[str, ...] = ()
    ignore: dict[str, str] = field(default_factory=dict)
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)
    skill_folders: tuple[Path, ...] = ()
    fail_on: FailOn = "error"
    baseline: Path | None = None
    columns: dict[str, str] = field(default_factory=dict)  # role: its column in logs of other tools
    file: Path | None = None

    @property
    def selection(self) -> Selection:
        """Select, ignore and thresholds as the runner takes them."""
        return Selection(self.select, self.ignore, self.rules)

    def verify(self, rules: Iterable[Rule]) -> None:
        """Raise SettingsError where a name in the settings is none of `rules`: a typo must not switch a check off."""
        known = tuple(rules)
        for key, words in (("select", self.select), ("ignore", tuple(self.ignore)), ("rules", tuple(self.rules))):
            for word in words:
                if not any(rule.name == word if key == "rules" else matches(rule, word) for rule in known):
                    hint = _hint(word, [rule.name for rule in known])
                    raise SettingsError(f"{self.file}: {key} names {word!r}, which is no rule{hint}; see `cognate rules`.")


def load_settings(start: Path | None = None) -> Settings:
    """Read the nearest settings upwards from `start` (default: the working directory); defaults where there are none.

    Raises SettingsError, naming file and key, where a file cannot be read or holds what Cognate does not accept.
    """
    folder = (start or Path.cwd()).resolve()
    for parent in (folder, *folder.parents):
        for name in ("cognate.toml", "pyproject.toml"):
            file = parent / name
            if file.is_file():
                table = _table(file)
                if table is not None:
                    return _settings(file, table)
    return Settings()


def _table(file: Path) -> Any:
    """The table that holds our settings, or None where a pyproject.toml has none."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} cannot be read as TOML ({error}); correct it, then try again.") from error
    if file.name == "cognate.toml":
        return document
    tool = document.get("tool", {})
    return tool.get("cognate") if isinstance(tool, dict) else None


def _schema() -> type[BaseModel]:
    # Built on demand: pydantic is slow to import, and most projects have no settings.
    from pydantic import BaseModel, ConfigDict, Field

    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)

    class Gate(Strict):
        fail_on: FailOn = Field("error", alias="fail-on")
        baseline: str | None = None

    class Table(Strict):
        select: list[str] = Field(default_factory=list)
        ignore: dict[str, str] = Field(default_factory=dict)
        rules: dict[str, dict[str, Any]] = Field(default_factory=dict)
        skills: list[str] = Field(default_factory=list)
        columns: dict[Role, str] = Field(default_factory=dict)
        gate: Gate = Gate.model_validate({})

    return Table


def _settings(file: Path, table: Any) -> Settings:
    from pydantic import ValidationError

    if isinstance(table, dict) and isinstance(table.get("ignore"), list) and all(isinstance(w, str) for w in table["ignore"]):
        table = {**table, "ignore": dict.fromkeys(table["ignore"], f"listed in {file.name} without a reason")}
    try:
        valid = cast(Any, _schema()).model_validate(table)
    except ValidationError as error:
        raise SettingsError(_sentence(file, error.errors()[0])) from error
    baseline = file.parent / valid.gate.baseline if valid.gate.baseline else None
    folders = tuple(file.parent / name for name in valid.skills)
    return Settings(tuple(valid.select), valid.ignore, valid.rules, folders, valid.gate.fail_on, baseline, valid.columns, file)


def _sentence(file: Path, problem: Any) -> str:
    where = f"{file}: " + ("" if file.name == "cognate.toml" else "[tool.cognate] ")
    parts = [str(part) for part in problem["loc"]]
    key = ".".join(parts)
    if problem["type"] == "extra_forbidden":
        prefix = "".join(f"{part}." for part in parts[:-1])
        siblings = [k[len(prefix) :] for k in _EXPECTED if k.startswith(prefix) and "." not in k[len(prefix) :]]
        hint = _hint(parts[-1], siblings)
        return f"{where}has no key {key}{hint}; the keys here are {', '.join(siblings)}."
    expected = next((_EXPECTED[".".join(parts[:n])] for n in (2, 1) if ".".join(parts[:n]) in _EXPECTED), "a table")
    return f"{where}{key or 'as a whole'} is {problem['input']!r}, but should be {expected}."


def _hint(word: str, candidates: list[str]) -> str:
    close = difflib.get_close_matches(word.lower(), candidates, 1)
    return f" (did you mean {close[0]}?)" if close else ""

"""Finds skills (bundled, installed as entry points, or named folders) and loads the rules in them.

A skill is a folder in the Agent Skills format with `checks/<family>/<rule_name>.py` beside its SKILL.md. A skill is code:
only bundled ones, installed ones (entry-point group `cognate.skills`) and folders that the user names are loaded.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from cognate.errors import SkillError
from cognate.rules.model import Rule

ENTRY_POINTS = "cognate.skills"
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
FRONT_MATTER = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")


@dataclass(frozen=True)
class Skill:
    """A loaded skill folder."""

    name: str
    description: str
    version: str
    path: Path
    origin: str  # bundled | entry point NAME | folder
    rules: tuple[Rule, ...]
    broken: tuple[tuple[str, str], ...] = ()  # rule files that could not be loaded, and why


def bundled_folder() -> Path:
    """The folder of the skills that ship with Cognate: beside pyproject.toml in a checkout, else in the wheel."""
    package = Path(__file__).parent
    checkout = package.parent / "skills"
    # A checkout's skills are the ones being edited, so they win over the copy that an editable build froze.
    return checkout if (package.parent / "pyproject.toml").is_file() and checkout.is_dir() else package / "_skills"


def front_matter(text: str, path: Path) -> dict[str, str]:
    """Read the flat front matter of a SKILL.md; keys under `metadata:` come out as `metadata.KEY`.

    Raises SkillError where the front matter is missing, has an unknown key, or lacks name or description.
    """
    match = re.match(r"---\r?\n(.*?)\r?\n---\r?\n", text, re.DOTALL)
    if not match:
        raise SkillError(f"{path} does not begin with front matter between two lines of ---.")
    values: dict[str, str] = {}
    parent = ""
    for line in match.group(1).splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, separator, value = line.strip().partition(":")
        if not separator:
            raise SkillError(f"{path}: front matter line {line.strip()!r} is not `key: value`.")
        nested = line[0].isspace()
        if not nested:
            parent = key
            if key not in FRONT_MATTER:
                raise SkillError(f"{path}: front matter key {key!r} is not one of {', '.join(FRONT_MATTER)}.")
        values[f"{parent}.{key}" if nested else key] = value.strip().strip("'\"")
    for key in ("name", "description"):
        if not values.get(key):
            raise SkillError(f"{path}: front matter has no {key}.")
    if not NAME.fullmatch(values["name"]) or len(values["name"]) > 64 or values["name"] != path.parent.name:
        raise SkillError(f"{path}: name {values['name']!r} should be the folder's name, lowercase words with hyphens.")
    if len(values["description"]) > 1024:
        raise SkillError(f"{path}: the description is longer than 1,024 characters.")
    return values


def load_skill(path: Path, origin: str = "folder", kind: str | None = None) -> Skill:
    """Load the skill in folder `path` with all its rules. Raises SkillError where its SKILL.md is missing or malformed.

    A rule file that cannot be loaded does not take the others with it: it is listed in `broken`, and every diagnosis shows it.
    With `kind`, files whose rules judge no case of that kind are left out: loading them would cost more than judging.
    """
    manifest = path / "SKILL.md"
    if not manifest.is_file():
        raise SkillError(f"{path} is not a skill: it has no SKILL.md. Make one with `cognate skills new NAME`.")
    values = front_matter(manifest.read_text(encoding="utf-8"), manifest)
    rules: list[Rule] = []
    broken: list[tuple[str, str]] = []
    for file in sorted((path / "checks").rglob("*.py")):
        if not file.name.startswith("_") and (kind is None or _judges(file, kind)):
            try:
                rules += _load(path, values["name"], file)
            except SkillError as error:
                broken.append((file.stem.replace("_", "-"), str(error)))
    version = values.get("metadata.version", "0")
    return Skill(values["name"], values["description"], version, path, origin, tuple(rules), tuple(broken))


def _judges(file: Path, kind: str) -> bool:
    text = file.read_bytes()
    if b"subjects" not in text:
        return kind == "run"
    subjects = re.findall(rb"subjects=\{([^}]*)\}", text)
    # Where it is written in a way that only loading can tell, there are none.
    return not subjects or any(f'"{kind}"'.encode() in words for words in subjects)


def _load(skill: Path, name: str, file: Path) -> list[Rule]:
    parts = file.relative_to(skill).with_suffix("").parts
    module = _module(".".join(("cognate_skills", name.replace("-", "_"), *parts)), file)
    return [item for item in vars(module).values() if isinstance(item, Rule)]


def _module(dotted: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(dotted, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[dotted] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a skill is a plug-in: its failure to load is named, not raised as a traceback
        del sys.modules[dotted]
        raise SkillError(f"{file} cannot be loaded ({type(error).__name__}: {error}).") from error
    return module


@lru_cache(maxsize=8)
def load_skills(folders: tuple[Path, ...] = (), kind: str | None = None) -> tuple[Skill, ...]:
    """Load the bundled skills, those installed as entry points, and those in `folders`, in this order.

    With `kind`, only the rules that judge cases of that kind.

    Raises SkillError where one is malformed or two rules share a code or a name.
    """
    skills = [load_skill(path.parent, "bundled", kind) for path in sorted(bundled_folder().glob("*/SKILL.md"))]
    skills += [load_skill(path, f"entry point {name}", kind) for name, path in _installed()]
    skills += [load_skill(folder, kind=kind) for folder in folders]
    seen: dict[str, str] = {}
    for skill in skills:
        for rule in skill.rules:
            for word in (rule.code, rule.name):
                if word in seen:
                    raise SkillError(f"{skill.name} and {seen[word]} both hold a rule {word}; rename one.")
                seen[word] = skill.name
    return tuple(skills)


def _installed() -> Iterable[tuple[str, Path]]:
    if not _declared():
        return
    from importlib.metadata import entry_points

    for point in entry_points(group=ENTRY_POINTS):
        spec = importlib.util.find_spec(point.module)
        if spec is None or not spec.submodule_search_locations:
            raise SkillError(f"Entry point {point.name} names {point.module}, which is no installed package.")
        yield point.name, Path(next(iter(spec.submodule_search_locations)))


def _declared() -> bool:
    """Whether anything installed names our group: importing importlib.metadata to find nothing costs tens of milliseconds."""
    needle = f"[{ENTRY_POINTS}]".encode()
    for folder in sys.path:
        base = Path(folder or ".")
        for info in base.iterdir() if base.is_dir() else ():
            file = info / "entry_points.txt"
            if info.suffix in (".dist-info", ".egg-info") and file.is_file() and needle in file.read_bytes():
                return True
    return False


def all_rules(skills: Iterable[Skill]) -> list[Rule]:
    """Every rule of `skills`, by code."""
    return sorted((rule for skill in skills for rule in skill.rules), key=lambda rule: rule.code)

"""Turns traced imports into the rows of environment.json: winner, losers, counterfactual, what is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cognate.observe.environment import nearby
from cognate.observe.environment.distributions import Distributions, Installed, distribution_name, normal
from cognate.observe.environment.hidden import SITE_ORIGINS, USER_ORIGINS, hidden
from cognate.observe.environment.importers import Importers
from cognate.observe.environment.reach import Reach
from cognate.observe.environment.resolve import Candidate, offers, winner
from cognate.observe.environment.trace import Traced, Tracer
from cognate.observe.source.guards import Guard, unguarded_use
from cognate.observe.source.names import Defined, wanted
from cognate.observe.source.text import parse

if TYPE_CHECKING:
    from cognate.case.schema import GuardInfo, ImportTrace, ModulePlace


class Rows:
    """The import rows of one traced command."""

    def __init__(
        self,
        tracer: Tracer,
        distributions: Distributions,
        project: Mapping[str, Any],
        others: list[dict[str, Any]],
        reach: Reach,
    ) -> None:
        self._reach = reach
        self._tracer = tracer
        self._distributions = distributions
        self._project = project
        self._others = others
        self._providers: dict[tuple[str, str | None], Installed | None] = {}
        self._asked: dict[str, list[dict[str, Any]]] = {}

    def all(self) -> list[ImportTrace]:
        """One row for each module and file, then one for each name that only installed code will trip over."""
        seen: set[tuple[str, Path]] = set()
        rows: list[ImportTrace] = []
        for traced in self._tracer.traced:
            top = traced.item.top if not traced.item.level else traced.module
            key = (top if traced.status == "found" else traced.module, traced.item.file)
            # A second statement about the same module counts where it asks for what breaks.
            if key in seen and traced.winner is not None and not self._ours(traced) and self._breaks(traced):
                key = (traced.item.statement, traced.item.file)
            if key not in seen and self._worth_listing(traced):
                seen.add(key)
                rows.append(self._row(traced))
        return self._with_importers(rows)

    def provider(self, module: str, folder: str | None = None) -> Installed | None:
        """The distribution that installs `module` (in `folder`), remembered."""
        key = (module, folder)
        if key not in self._providers:
            self._providers[key] = self._distributions.providing(module, folder)
        return self._providers[key]

    def external(self) -> list[str]:
        """Top-level modules that the first-party code imports and that are not its own."""
        standard = self._standard()
        found = dict.fromkeys(t.item.top for t in self._tracer.traced if not t.item.level and not self._ours(t))
        # What the standard library serves has no distribution: asking all of them for it reads every RECORD file.
        return [name for name in found if name not in standard]

    def _standard(self) -> set[str]:
        return {
            t.item.top
            for t in self._tracer.traced
            if t.status == "found" and t.winner is not None and self._tracer.owner(t.winner) == "stdlib"
        }

    def _ours(self, traced: Traced) -> bool:
        return traced.winner is not None and self._tracer.owner(traced.winner) == "first-party"

    def _worth_listing(self, traced: Traced) -> bool:
        chosen = traced.winner
        if traced.status != "found":
            return True
        if chosen is None:  # a relative import
            return self._breaks(traced) != [] or bool(traced.cycle)
        return self._tracer.owner(chosen) != "stdlib" or traced.item.guard is not None or bool(traced.breaks)

    def _row(self, traced: Traced) -> ImportTrace:
        item = traced.item
        row: ImportTrace = {
            "module": traced.module,
            "statement": item.statement,
            "file": str(item.file),
            "line": item.line,
            "status": cast(Any, traced.status),
            "reached": item.reached or self._reach.line(item.file, item.line),
        }
        if traced.why:
            row["why"] = traced.why
        if traced.missing:
            row["missing"] = traced.missing
        for key in ("alternative_to", "gate", "function"):
            if getattr(item, key):
                row[key] = getattr(item, key)
        if item.type_checking:
            row["type_checking"] = True
        if item.guard:
            row["guard"] = self._guard(item.guard, item.bound, item.file)
        chosen = traced.winner
        if chosen is not None:
            self._places(row, item.top, traced.candidates, chosen)
        if traced.cycle:
            row["cycle"] = traced.cycle
        breaks = self._breaks(traced)
        if breaks:
            row["breaks_at"] = breaks
        if row.get("losers") and row.get("wants"):
            row["status"] = "found"  # the wrong place is: what it lacks is among the names that are asked of it
        if row["status"] != "found" and not item.level:
            self._explain_missing(row, traced.missing or item.top)
        return row

    @staticmethod
    def _guard(guard: Guard, bound: tuple[str, ...], file: Path) -> GuardInfo:
        info: GuardInfo = {
            "line": guard.line,
            "catches": list(guard.catches),
            "does": cast(Any, guard.does),
            "message": guard.message,
            "sets": list(guard.sets),
        }
        tree = parse(file)
        use = unguarded_use(tree, bound, guard) if tree is not None and guard.does in ("none", "pass") else None
        if use is not None:
            info["use"] = {"line": use[0], "text": use[1]}
        return info

    def _places(self, row: ImportTrace, top: str, candidates: list[Candidate], chosen: Candidate) -> None:
        row["winner"] = self.place(top, chosen)
        if chosen.beside:
            row["winner"]["beside"] = chosen.beside
            other = Candidate(chosen.beside, "module", chosen.entry)
            row["wants"] = self._wants(top, [chosen], other)
        losers = [item for item in candidates if item is not chosen and (item.regular or not chosen.regular)]
        if chosen.kind == "namespace":
            self._judge_namespace(row, top, candidates)
            losers = []
        ours = self._tracer.owner(chosen) == "first-party"
        if not losers and chosen.entry.origin in ("pth", "editable-hook"):
            self._other_checkout(row, top, chosen)
        if not losers:
            if ours and chosen.kind in ("package", "module") and chosen.entry.origin in USER_ORIGINS:
                wants = row.get("wants") or self._wants(top, [chosen], None)
                row |= {"wants": wants} if wants else {}
                row["winner"]["tracked"] = bool(wants) and nearby.tracked(Path(chosen.file))
            return
        row["losers"] = [self.place(top, item) for item in losers[:3]]
        then = winner([item for item in candidates if item is not chosen])
        row["counterfactual"] = {"without": chosen.file, "then": self.place(top, then) if then else None}
        if ours:
            row["winner"]["tracked"] = nearby.tracked(Path(chosen.file))
        if ours or chosen.entry.origin in USER_ORIGINS:
            row["own_project"] = self._own(top, chosen, losers[0])
            row["wants"] = self._wants(top, [chosen], losers[0])

    def _other_checkout(self, row: ImportTrace, top: str, chosen: Candidate) -> None:
        """An editable install that takes the project's own package from another folder than this project's."""
        root = Path(str(self._project["root"]))
        # A .pth line that adds another environment's site-packages makes nothing editable.
        if Path(chosen.file).is_relative_to(root) or self._tracer.owner(chosen) == "installed":
            return
        on_path = {entry.path for entry in self._tracer.path}
        mine = next(nearby.in_project(top, self._script_folder(), root, self._tracer.command.cwd, on_path), None)
        if mine is not None and not _same(str(Path(mine["file"], "__init__.py")), str(Path(chosen.file, "__init__.py"))):
            row["winner"]["checkout"] = mine["file"]
            row["wants"] = self._wants(top, [chosen], None)

    def place(self, top: str, candidate: Candidate) -> ModulePlace:
        """Describe a candidate, with the distribution that put it there."""
        owner = self._tracer.owner(candidate)
        place: ModulePlace = {
            "file": candidate.file,
            "kind": cast(Any, candidate.kind),
            "entry": candidate.entry.path,
            "origin": candidate.entry.origin,
            "by": candidate.entry.by,
            "owner": cast(Any, owner),
        }
        if owner == "installed" or candidate.kind == "hook":
            folder = candidate.entry.path if owner == "installed" and candidate.kind != "hook" else None
            provider = self.provider(top, folder)
            if provider is not None:
                place["distribution"], place["version"] = provider.title, provider.version
        return place

    def _judge_namespace(self, row: ImportTrace, top: str, candidates: list[Candidate]) -> None:
        """A folder without __init__.py offers submodules only: asked for anything else, the import fails."""
        asked = self._wants(top, [item for item in candidates if item.kind == "namespace"], None)
        if asked:
            row["status"] = "missing"
            row["missing"] = top
            row["wants"] = asked
            row["why"] = f"{candidates[0].file} is a folder without __init__.py, which holds no {asked[0]['name']}"

    def _wants(self, top: str, chosen: list[Candidate], loser: Candidate | None) -> list[dict[str, Any]]:
        """Names that the first-party code asks of `top`, that no chosen place defines and that the loser may."""
        offered = [offers(item) for item in chosen]
        other = Defined(open=True) if loser is None else offers(loser)
        return [
            asked
            for asked in self._asked_of(top)
            if not any(offer.has(asked["name"], top) for offer in offered) and other.has(asked["name"], "")
        ][:8]

    def _asked_of(self, top: str) -> list[dict[str, Any]]:
        if top not in self._asked:
            self._asked[top] = [
                {"name": name, "file": str(file), "line": line}
                for file in self._tracer.files
                for name, line in wanted(file, top, self._tracer.cwd).items()
            ]
            below = [t.item for t in self._tracer.traced if t.item.module.startswith(f"{top}.") and not t.item.level]
            self._asked[top] += [{"name": item.module.split(".")[1], "file": str(item.file), "line": item.line} for item in below]
        return self._asked[top]

    def _own(self, top: str, chosen: Candidate, loser: Candidate) -> bool:
        """Whether the installed loser is a copy of the project that the winner belongs to."""
        provider = self.provider(top, loser.entry.path if loser.kind != "hook" else None)
        root = Path(str(self._project["root"]))
        if provider is not None and Path(chosen.file).is_relative_to(root):
            source = provider.source
            if source is not None and Path(chosen.file).is_relative_to(source):
                return True
            if self._project.get("name") and normal(str(self._project["name"])) == normal(provider.name):
                return True
        installed = self._tracer.owner(chosen) == "installed"
        return not installed and not os.path.isdir(chosen.file) and _same(chosen.file, loser.file)

    def _breaks(self, traced: Traced, seen: frozenset[Path] = frozenset()) -> list[dict[str, Any]]:
        """The chain of unguarded imports, below the files that `traced` runs, to the first that breaks."""
        if traced.breaks:
            return traced.breaks
        for file in traced.runs:
            if file in seen:
                continue
            for inner in self._tracer.files.get(file, []):
                item = inner.item
                if item.guard or item.gate or item.function or item.type_checking or item.alternative_to:
                    continue
                link = {"file": str(item.file), "line": item.line, "module": inner.missing or inner.module}
                if inner.status == "missing":
                    return [link | {"reason": "missing", "detail": inner.why}]
                below = self._breaks(inner, seen | {file})
                if below:
                    return [link, *below]
        return []

    def _explain_missing(self, row: ImportTrace, missing: str) -> None:
        top = missing.partition(".")[0]
        provider = self.provider(top)
        if provider is not None and "." not in missing:
            row["winner"] = {"distribution": provider.name, "version": provider.version, "entry": str(provider.folder)}
            if row["status"] == "missing" and provider.editable and not _is_listed(provider, top):
                row["status"] = "unknown"
                row["why"] = f"{provider.name} is an editable install whose import hook cannot be read"
        row["install"] = distribution_name(top)
        before = self._tracer.finder.candidates(top, self._tracer.initial)
        first = winner(before)
        if first is not None and first.regular and "." not in missing:
            row["counterfactual"] = {"without": "the edits of sys.path", "then": self.place(top, first)}
        if "." not in missing and top == missing:
            self._explain_absence(row, top)
        root, on_path = Path(str(self._project["root"])), {entry.path for entry in self._tracer.path}
        elsewhere = list(nearby.in_interpreters(top, self._others))
        if "." not in missing:
            elsewhere += nearby.in_project(top, self._script_folder(), root, self._tracer.command.cwd, on_path)
        if elsewhere:
            row["elsewhere"] = elsewhere
        elif top == missing:
            mine = [entry.path for entry in self._tracer.path if entry.origin in USER_ORIGINS]
            similar = nearby.similar(top, mine, self._distributions)
            row |= {"similar": similar} if similar else {}

    def _explain_absence(self, row: ImportTrace, top: str) -> None:
        """Whether flags, variables or the version of Python are why `top` is not there."""
        gone = nearby.REMOVED.get(top)
        if gone is not None and self._tracer.interpreter.version_info[:2] >= gone[0]:
            row["removed_from_python"] = {"since": f"{gone[0][0]}.{gone[0][1]}", "instead": gone[1]}
        for folder in nearby.site_folders(self._tracer.interpreter.prefix):
            version = folder.parent.name.removeprefix("python")
            ours = ".".join(map(str, self._tracer.interpreter.version_info[:2]))
            file = nearby.offered(folder, top) if version != ours else None
            if file is not None:
                row["other_version"] = {"version": version, "file": str(file)}
        for by, path in self._tracer.without_switches():
            then = winner(self._tracer.finder.candidates(top, path))
            if then is not None and then.regular and not self._wants(top, [then], None):
                row["switched_off"] = {"by": by, "then": self.place(top, then)}
                return

    def _script_folder(self) -> Path:
        entry = self._tracer.entry()
        return entry.parent if entry is not None else self._tracer.command.cwd

    def _with_importers(self, rows: list[ImportTrace]) -> list[ImportTrace]:
        """Say who else imports each contested name; add names that only installed code imports."""
        contested = {
            row["module"].partition(".")[0] for row in rows if row.get("losers") and _hides(row) and not row.get("wants")
        }
        unseen = hidden(self._tracer, contested)
        if not contested and not unseen:
            return rows
        outside = [t.module for t in self._tracer.traced if not t.item.level and not self._ours(t)]
        roots = [Path(entry.path) for entry in self._tracer.path if entry.origin in SITE_ORIGINS or entry.origin == "stdlib"]
        found = Importers(dict.fromkeys(outside), roots).of([*contested, *unseen], self._tracer.interpreter.stdlib_names)
        for row in rows:
            users = found.get(row["module"].partition(".")[0])
            if users and row.get("losers"):
                row["importers"] = users
        for name, candidates in unseen.items():
            if name in found:
                row = {"module": name, "status": "found", "file": candidates[0].file, "line": 1}
                self._places(row, name, candidates, cast(Candidate, winner(candidates)))
                row["importers"] = found[name]
                rows.append(row)
        return rows


def _hides(row: ImportTrace) -> bool:
    losers = row.get("losers", [])
    return row["winner"].get("owner") == "first-party" and any(item.get("owner") != "first-party" for item in losers)


def _is_listed(provider: Installed, module: str) -> bool:
    """Whether RECORD says that real files of `module` were installed, so that no import hook provides it."""
    return any(path.startswith((f"{module}/", f"{module}.py")) for path in provider.record())


def _same(left: str, right: str) -> bool:
    try:
        return Path(left).read_bytes() == Path(right).read_bytes()
    except OSError:
        return False

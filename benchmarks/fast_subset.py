"""Chooses the programs that `cognate bench --fast` runs: two faulty ones of each family, their twins, some look-alikes.

    python benchmarks/fast_subset.py CORPUS [--result BENCH.json] [--budget 600] [-o tests/corpus/fast.json]

CORPUS is what `python -m benchmarks.corpus.materialise` wrote. Costs are the CPU seconds of an earlier result of the bench, or
else what `tests/corpus/measured.json` says. The cheapest are taken, of the development part where it has enough: a check that
runs on every push is looked at too often to be a test. A cause that the result did not name, or without one no rule can name,
can't be lost, and comes last.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cognate.bench.corpus import Program, read_corpus
from cognate.discovery import all_rules, load_skills

ROOT = Path(__file__).resolve().parents[1]
PER_FAMILY = 2
LOOK_ALIKES = 12
CHEAP_TWIN = 12.0  # seconds; a dearer twin is left to the whole bench
UNKNOWN = 30.0  # seconds that a program without a figure is taken to cost


def choose(programs: Iterable[Program], cost: Mapping[str, float], named: Mapping[str, bool]) -> list[str]:
    """The ids of the subset."""
    everything = {program.id: program for program in programs}

    def order(program: Program) -> tuple[Any, ...]:
        return (program.part != "dev", not named.get(program.id, True), cost.get(program.id, UNKNOWN), program.id)

    chosen: set[str] = set()
    faulty = sorted((p for p in everything.values() if p.kind == "faulty"), key=order)
    for family in sorted({program.family for program in faulty}):
        members = [program for program in faulty if program.family == family]
        chosen.update(program.id for program in _different(members, PER_FAMILY))
    twins = {everything[identity].base for identity in chosen} & everything.keys()
    chosen |= {identity for identity in twins if cost.get(identity, UNKNOWN) <= CHEAP_TWIN}
    healthy = sorted((p for p in everything.values() if p.kind == "healthy"), key=order)
    seen: set[str] = set()
    for program in healthy:
        if program.family not in seen and len(seen) < LOOK_ALIKES:
            seen.add(program.family)
            chosen.add(program.id)
    return sorted(chosen)


def _different(members: list[Program], count: int) -> list[Program]:
    """The first `count`, of different causes and bases as far as there are such."""
    taken: list[Program] = []
    for strict in (True, False):
        for program in members:
            new = all(program.cause != other.cause and program.base != other.base for other in taken)
            if len(taken) < count and program not in taken and (new or not strict):
                taken.append(program)
    return taken


def main() -> None:
    """Choose and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--result", type=Path, help="what `cognate bench CORPUS --format json -o FILE` wrote")
    parser.add_argument("--budget", type=float, default=600, help="CPU seconds; five minutes of two cores")
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "tests" / "corpus" / "fast.json")
    arguments = parser.parse_args()
    measured = json.loads((ROOT / "tests" / "corpus" / "measured.json").read_text())
    cost = {identity: float(record["seconds"]) for identity, record in measured.items() if "seconds" in record}
    programs = read_corpus(arguments.corpus).programs
    rules = {rule.name for rule in all_rules(load_skills())}
    named = {program.id: bool(program.right & rules) for program in programs if program.kind == "faulty"}
    if arguments.result:
        rows = json.loads(arguments.result.read_text())["programs"]
        cost = {row["id"]: row["cpu"] for row in rows}
        named = {row["id"]: row["root"] for row in rows if row["kind"] == "faulty"}
    subset = choose(programs, cost, named)
    total = sum(cost.get(identity, UNKNOWN) for identity in subset)
    print(f"{len(subset)} programs, {total:.0f} CPU seconds")
    if total > arguments.budget:
        raise SystemExit(f"that is more than {arguments.budget:.0f}: nothing is written")
    arguments.out.write_text(json.dumps(subset, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

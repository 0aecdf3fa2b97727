"""Writes docs/accuracy.md from a result of the bench.

    python -m benchmarks.accuracy build/bench.json [-o docs/accuracy.md]

Beside the bench's own tables stands one for programs that no rule had met: their part is `test`, and they were written by people
who knew the faults and not the rules (`unseen` in their `program.json`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.corpus.materialise import PROGRAMS, ROOT
from cognate.bench.report import as_markdown
from cognate.bench.score import Rate

HEAD = """# Accuracy

What `make bench` measured on [the corpus](../tests/corpus/README.md); how each figure is counted is told in
[bench.md](bench.md). Rules may be tuned on the part `dev`. `test` is only reported, and the confidence that a diagnosis shows
is counted there alone. Written by `make bench`, not by hand.

"""


def unseen_bases() -> set[str]:
    """Bases of the test part that no rule was written or tuned with, nor with a program that they stem from."""
    infos = (json.loads(path.read_text(encoding="utf-8")) for path in PROGRAMS.glob("*/program.json"))
    return {info["id"] for info in infos if info.get("unseen") and info["split"] == "test"}


def unseen_table(programs: Sequence[Mapping[str, Any]], bases: set[str]) -> str:
    """The figures on programs whose base is one of `bases`, in Markdown."""
    rows = [row for row in programs if row["id"].partition("--")[0] in bases]
    faulty = [row for row in rows if row["kind"] == "faulty"]
    healthy = [row for row in rows if row["kind"] != "faulty"]
    figures = (
        ("root cause first", [row["first"] for row in faulty]),
        ("among root causes", [row["root"] for row in faulty]),
        ("among findings", [row["found"] for row in faulty]),
        ("error on a healthy program", [bool(row["errors"]) for row in healthy]),
        ("warning on a healthy program", [bool(row["warnings"]) for row in healthy]),
    )
    lines = ["### Programs that no rule had met", "", "|  | hits | 95 % interval |", "| --- | --- | --- |"]
    for title, flags in figures:
        measured = Rate(sum(flags), len(flags))
        low, high = measured.interval
        lines.append(f"| {title} | {measured.hits}/{measured.of} | {100 * low:.0f}–{100 * high:.0f} % |")
    return "\n".join(lines) + "\n\n"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("result", type=Path, help="what `cognate bench CORPUS --format json -o FILE` wrote")
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "docs" / "accuracy.md")
    arguments = parser.parse_args()
    found = json.loads(arguments.result.read_text(encoding="utf-8"))
    tables, _, rest = as_markdown(found).partition("### By family")
    page = HEAD + tables + unseen_table(found["programs"], unseen_bases()) + "### By family" + rest
    arguments.out.write_text(page, encoding="utf-8")
    print(f"{arguments.out} written")


if __name__ == "__main__":
    main()

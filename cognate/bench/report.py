"""The bench's result: one document for JSON and for later comparison, and the tables made from it for readers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cognate.bench.score import METRICS, Scored, groups, middle_and_tail, rate
from cognate.case.store import finite
from cognate.version import __version__

SCHEMA = "cognate.bench/1"


def document(
    items: Sequence[Scored], corpus: str, versions: Mapping[str, str], rules: Iterable[str], selection: str = "all"
) -> dict[str, Any]:
    """Everything that was measured, as JSON-ready values. `rules` are the names that a diagnosis can say."""
    known = set(rules)
    return {
        "schema": SCHEMA,
        "corpus": corpus,
        "selection": selection,
        "versions": {"cognate": __version__, **versions},
        "all": _figures(items),
        **{kind: {name: _figures(members) for name, members in by.items()} for kind, by in groups(items).items()},
        "confusion": _confusion(items),
        "alarms": _alarms(items),
        "no_rule": _no_rule(items, known),
        "trouble": [{"id": s.program.id, "ended": s.ended, "ending": s.ending[:200]} for s in items if s.ended != "ok"],
        "programs": [_program(item) for item in items],
    }


def _figures(items: Sequence[Scored]) -> dict[str, Any]:
    figures: dict[str, Any] = {"programs": len(items)}
    for metric in METRICS:
        measured = rate(metric, items)
        low, high = measured.interval
        figures[metric.key] = {"hits": measured.hits, "of": measured.of, "low": round(low, 4), "high": round(high, 4)}
    for key, values in (("seconds", [item.seconds for item in items]), ("cpu", [item.cpu for item in items])):
        median, p95 = middle_and_tail(values)
        figures[key] = {"median": round(median, 2), "p95": round(p95, 2), "sum": round(sum(values), 1)}
    return figures


def _program(item: Scored) -> dict[str, Any]:
    truth = item.program
    row: dict[str, Any] = {"id": truth.id, "kind": truth.kind, "part": truth.part, "ended": item.ended}
    row |= {"seconds": item.seconds, "cpu": item.cpu}
    if truth.kind == "faulty":
        row |= {"cause": truth.cause, "first": item.first, "root": item.root, "found": item.found, "distance": item.distance}
    return row | {"roots": list(item.roots), "errors": list(item.errors), "warnings": list(item.warnings)}


def _confusion(items: Sequence[Scored]) -> list[dict[str, Any]]:
    """Each cause that was not named first, and what was said in its place; the most frequent first."""
    cells: dict[tuple[str, str], list[str]] = {}
    for item in items:
        if item.program.kind == "faulty" and not item.first:
            cells.setdefault((item.program.cause, _instead(item)), []).append(item.program.id)
    rows = [{"cause": cause, "said": said, "ids": ids} for (cause, said), ids in cells.items()]
    return sorted(rows, key=lambda row: (-len(row["ids"]), row["cause"], row["said"]))


def _instead(item: Scored) -> str:
    if item.roots:
        return item.roots[0] + (" (the right one after it)" if item.root else "")
    if item.symptoms:
        return f"no cause; symptom {item.symptoms[0]}"
    return f"nothing ({item.status or 'no diagnosis'})"


def _alarms(items: Sequence[Scored]) -> list[dict[str, Any]]:
    cells: dict[tuple[str, str], list[str]] = {}
    for item in items:
        if item.program.kind != "faulty":
            for level, names in (("error", item.errors), ("warning", item.warnings)):
                for name in names:
                    cells.setdefault((level, name), []).append(item.program.id)
    rows = [{"level": level, "rule": name, "ids": ids} for (level, name), ids in cells.items()]
    return sorted(rows, key=lambda row: (row["level"], -len(row["ids"]), row["rule"]))


def _no_rule(items: Sequence[Scored], known: set[str]) -> dict[str, int]:
    """Causes that no rule can name, with the number of programs: nothing but a new rule makes these right."""
    counts: dict[str, int] = {}
    for item in items:
        if item.program.kind == "faulty" and not item.program.right & known:
            counts[item.program.cause] = counts.get(item.program.cause, 0) + 1
    return dict(sorted(counts.items()))


def as_json(found: Mapping[str, Any]) -> str:
    """The document as text: programs one a line, so that two of them can be compared by eye."""
    head = {key: value for key, value in found.items() if key != "programs"}
    text = json.dumps(finite(head), ensure_ascii=False, indent=1).removesuffix("\n}")
    rows = ",\n".join("  " + json.dumps(finite(row), ensure_ascii=False) for row in found["programs"])
    return f'{text},\n "programs": [\n{rows}\n ]\n}}\n'


@dataclass(frozen=True)
class Table:
    """A heading and rows; the first row names the columns."""

    heading: str
    rows: list[list[str]]


def tables(found: Mapping[str, Any]) -> list[Table]:
    """The document for a reader."""
    parts = [*found["part"], "all"]
    whole = {**found["part"], "all": found["all"]}
    rows = [["", *parts]]
    rows += [[metric.title, *(_cell(whole[part][metric.key]) for part in parts)] for metric in METRICS]
    for unit, title in (("seconds", "seconds"), ("cpu", "CPU seconds")):
        rows += [[f"{title}, {key}", *(f"{whole[part][unit][key]:.1f}" for part in parts)] for key in ("median", "p95", "sum")]
    result = [Table("By part (hits of programs, 95 % interval)", rows)]
    result += [Table(f"By {kind}", _breakdown(kind, found[kind])) for kind in ("family", "style")]
    confusion = [[row["cause"], row["said"], _ids(row["ids"])] for row in found["confusion"]]
    alarms = [[row["level"], row["rule"], _ids(row["ids"])] for row in found["alarms"]]
    trouble = [[row["id"], row["ended"], row["ending"]] for row in found["trouble"]]
    unnamed = [[cause, str(count)] for cause, count in found["no_rule"].items()]
    lists = (
        ("What was said instead", ["cause", "said first", "programs"], confusion),
        ("False alarms on look-alikes and fixed twins", ["level", "rule", "programs"], alarms),
        ("Causes without a rule of their name", ["cause", "programs"], unnamed),
        ("Programs that crashed, timed out or were not observed", ["program", "ended", "its last words"], trouble),
    )
    return result + [Table(heading, [head, *body]) for heading, head, body in lists if body]


def _breakdown(kind: str, by: Mapping[str, Any]) -> list[list[str]]:
    rows = [[kind, *(metric.short for metric in METRICS)]]
    return rows + [[name, *(_cell(figures[metric.key]) for metric in METRICS)] for name, figures in by.items()]


def _cell(figure: Mapping[str, Any]) -> str:
    if not figure["of"]:
        return "–"
    return f"{figure['hits']}/{figure['of']} ({100 * figure['low']:.0f}–{100 * figure['high']:.0f} %)"


def _ids(ids: Sequence[str]) -> str:
    return f"{len(ids)}: {', '.join(ids)}"


def as_text(found: Mapping[str, Any]) -> str:
    """The tables in columns of equal width."""
    blocks = [_about(found)]
    for table in tables(found):
        widths = [max(len(row[column]) for row in table.rows) for column in range(len(table.rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table.rows]
        blocks.append("\n".join([table.heading, *(f"  {line}" for line in lines)]))
    return "\n\n".join(blocks) + "\n"


def as_markdown(found: Mapping[str, Any]) -> str:
    """The tables in Markdown."""
    blocks = [_about(found)]
    for table in tables(found):
        head, *body = ([cell.replace("|", r"\|") for cell in row] for row in table.rows)
        lines = [head, ["---"] * len(head), *body]
        blocks.append(f"### {table.heading}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(blocks) + "\n"


def _about(found: Mapping[str, Any]) -> str:
    counts = {"faulty": 0, "fixed": 0, "healthy": 0}
    for row in found["programs"]:
        counts[row["kind"]] += 1
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return (
        f"{counts['faulty']} faulty programs, {counts['fixed']} fixed twins, {counts['healthy']} healthy look-alikes "
        f"(corpus {found['corpus']}, {found['selection']}; {versions})"
    )

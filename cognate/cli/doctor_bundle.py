"""`cognate doctor --bundle FILE`: what a bug report needs to know of an environment, without what nobody should read."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cognate.case.case import Case
    from cognate.diagnosis.model import Diagnosis

IMPORTS_SHOWN, PACKAGES_SHOWN = 60, 400


def write_bundle(file: Path, case: Case, diagnosis: Diagnosis) -> None:
    """Write the report as Markdown. Home, user and host names are replaced; secrets never reached the case."""
    from cognate.cli.judging import write_file

    write_file(file, anonymous(_text(case.environment, diagnosis)))


def anonymous(text: str) -> str:
    """`text` without the names of the user, the home folder and the machine."""
    from cognate.observe.environment.redact import redact

    home = str(Path.home())
    if home != "/":
        text = text.replace(home, "~")
    for name, shown in ((os.environ.get("USER") or os.environ.get("LOGNAME") or "", "<user>"), (platform.node(), "<host>")):
        # A short or common word, such as root, would be replaced where it means something else.
        if len(name) > 4:
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", shown, text)
    return redact(text)


def _text(environment: Any, diagnosis: Diagnosis) -> str:
    python = environment.get("python", {})
    parts = [
        f"## Environment report (cognate doctor {diagnosis.tool['version']})",
        f"**{diagnosis.status}**: {diagnosis.reason}",
        *(_cause(number, item) for number, item in enumerate(diagnosis.root_causes, 1)),
        "### Command",
        f"```\n{' '.join(environment.get('command', []))}\n(in {environment.get('cwd', '')})\n```",
        "### Interpreter and machine",
        _table(
            ("fact", "value"),
            [
                ("Python", f"{python.get('version', '?')} ({python.get('implementation', '?')})"),
                ("executable", python.get("executable", "")),
                ("chosen by", python.get("chosen_by", "")),
                ("prefix, base prefix", f"{python.get('prefix', '')}, {python.get('base_prefix', '')}"),
                ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
                ("C library", python.get("libc", "")),
                ("processors", str(os.cpu_count())),
                ("NVIDIA driver, GPUs", _gpus()),
            ],
        ),
        "### sys.path of this command",
        _table(("entry", "put there by"), [(item["path"], item["by"]) for item in environment.get("path", [])]),
        "### Where each import comes from",
        _table(("import", "at", "resolves to"), [_import(row) for row in environment.get("imports", [])[:IMPORTS_SHOWN]]),
        "### Variables",
        _table(("name", "value"), list(environment.get("variables", {}).items())),
        "### Installed",
        "<details>\n\n" + _packages(environment) + "\n\n</details>",
    ]
    return "\n\n".join(parts) + "\n"


def _cause(number: int, item: Any) -> str:
    lines = [f"{number}. **{item.title}** ({item.rule} {item.name}, {item.severity})"]
    lines += [f"   - {fact.what}: {fact.value}" + (f" ({fact.from_})" if fact.from_ else "") for fact in item.evidence]
    if item.fix is not None:
        lines.append(f"   - fix: {item.fix.summary}")
    return "\n".join(lines)


def _import(row: Any) -> tuple[str, str, str]:
    place = row.get("winner", {})
    version = f" ({place['distribution']} {place.get('version', '')})" if place.get("distribution") else ""
    found = f"{place.get('file', '')}{version}" if row.get("status") == "found" else f"{row.get('status')}: {row.get('why', '')}"
    return row.get("statement", row["module"]), f"{Path(row['file']).name}:{row['line']}", found


def _packages(environment: Any) -> str:
    items = sorted({(item["name"], item["version"]) for item in environment.get("distributions", [])}, key=lambda x: x[0].lower())
    return ", ".join(f"{name} {version}" for name, version in items[:PACKAGES_SHOWN]) or "nothing"


def _gpus() -> str:
    from cognate.observe.environment.machine import Machine

    machine = Machine.here(Path.cwd())
    return f"{machine.driver or 'none'}, {machine.gpus}"


def _table(head: tuple[str, ...], rows: list[Any]) -> str:
    def line(cells: Any) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(head), line("---" for _ in head), *(line(row) for row in rows)])

"""The diagnosis for a person at a terminal: the answer, then the proof, then what passed and what was not checked."""

from __future__ import annotations

import io
import re
from typing import TextIO

from cognate.diagnosis.model import Diagnosed, Diagnosis
from cognate.render import words

COLOUR = {"healthy": "bold green", "warning": "bold yellow", "unhealthy": "bold red", "inconclusive": "bold cyan"}
_ASCII = str.maketrans({"✓": "ok", "✗": "x", "–": "-", "×": "x", "Δ": "d", "→": "->", "≤": "<=", "≥": ">=", "±": "+-"})
# A tired reader wants the answer; the whole list is one option away.
_REASONS_SHOWN, _NAMES_SHOWN = 5, 3


def render(diagnosis: Diagnosis, stream: TextIO, verbose: bool = False) -> str:
    """The report as text for `stream`: coloured and wrapped for a terminal, plain and unwrapped for anything else."""
    page = Page(stream)
    _answer(page, diagnosis)
    for number, finding in enumerate(diagnosis.root_causes, 1):
        _finding(page, finding, f"{number}. ")
    _views(page, diagnosis)
    _unexplained(page, diagnosis)
    _others(page, diagnosis)
    _counts(page, diagnosis, verbose)
    return page.text()


class Page:
    """Lines of styled text, wrapped at words with a hanging indent where the reader has a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._buffer = io.StringIO()
        self._plain = not _can_encode(stream)
        self._tty = stream.isatty()
        if self._tty:  # rich is slow to import, and a pipe needs neither colours nor line breaks
            from rich.console import Console

            # rich itself reads NO_COLOR, TERM and COLUMNS.
            self._console = Console(file=self._buffer, force_terminal=True, highlight=False, emoji=False)
            self._width = Console(file=stream).width

    def line(self, *parts: str | tuple[str, str], indent: int = 0, hang: int = 0, whole: bool = False) -> None:
        """Add a line; `whole` ones (code to copy) are never broken."""
        if not self._tty:
            plain = "".join(part if isinstance(part, str) else part[0] for part in parts)
            self._buffer.write(" " * indent + plain.rstrip() + "\n")
            return
        from rich.text import Text

        text = Text.assemble(*parts)
        room = max(self._width - indent - hang, 20) if not whole else 1 << 20
        for number, piece in enumerate(text.divide(_breaks(text.plain, room))):
            piece.rstrip()
            self._console.print(Text(" " * (indent + hang * (number > 0))) + piece, soft_wrap=True)

    def gap(self) -> None:
        """Add an empty line."""
        self._buffer.write("\n")

    def text(self) -> str:
        """The whole page."""
        text = self._buffer.getvalue()
        return text.translate(_ASCII) if self._plain else text


def _breaks(text: str, room: int) -> list[int]:
    """Where to break `text` so that lines fit `room` columns; never inside a word."""
    from rich.cells import cell_len

    breaks, start = [], 0
    for word in re.finditer(r"\S+", text):
        if cell_len(text[start : word.end()]) > room and word.start() > start:
            start = word.start()
            breaks.append(start)
    return breaks


def _can_encode(stream: TextIO) -> bool:
    try:
        "✓✗–".encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _answer(page: Page, diagnosis: Diagnosis) -> None:
    mark = words.STATUS_MARK[diagnosis.status]
    head = (f"{mark} {diagnosis.status.upper()}", COLOUR[diagnosis.status])
    page.line(head, (f"  {diagnosis.subject.title}", "bold"), f": {diagnosis.reason}", hang=2)
    ran = words.ran(diagnosis)
    path = diagnosis.subject.path
    about = "; ".join(part for part in (ran, f"{diagnosis.subject.kind} {path}" if path else "") if part)
    if about:
        page.line((about, "dim"), indent=2)
    for line in words.logged(diagnosis):
        page.line((line, "dim"), indent=2, hang=2)


def _finding(page: Page, finding: Diagnosed, number: str = "") -> None:
    page.gap()
    colour = "bold red" if finding.severity == "error" else "bold yellow"
    page.line((f"{number}{words.mark(finding)} ", colour), (finding.title, "bold"), hang=len(number) + 2)
    step = f"; since step {finding.onset_step}" if finding.onset_step else ""
    page.line((f"{finding.rule} {finding.name}: {finding.severity}, {words.sureness(finding)}{step}", "dim"), indent=3, hang=2)
    if finding.evidence:
        page.line(("evidence", "cyan"), indent=3)
    for fact in finding.evidence:
        page.line(words.evidence(fact), indent=5, hang=2)
    where = words.place(finding.location)
    if where:
        page.line(("where", "cyan"), f"    {where}", indent=3, hang=9)
    if finding.explains:
        page.line(("explains", "cyan"), f" {', '.join(finding.explains)}", indent=3, hang=9)
    _fix(page, finding)
    for experiment in finding.experiments:
        page.line(("ask", "cyan"), f"      {experiment}", indent=3, hang=9)
    page.line(("more", "cyan"), f"     {finding.docs}", indent=3, hang=9)


def _fix(page: Page, finding: Diagnosed) -> None:
    fix = finding.fix
    if fix is None:
        return
    page.line(("fix", "cyan"), f"      {fix.summary}", (f" ({fix.effort}, {fix.risk} risk)", "dim"), indent=3, hang=9)
    for number, step in enumerate(fix.steps, 1):
        page.line(f"{number}. {step}", indent=12, hang=3)
    for command in fix.commands:
        page.line(("$ ", "dim"), (command, "bold"), indent=12, whole=True)
    for row in (fix.diff or "").splitlines():
        style = {"+": "green", "-": "red", "@": "cyan"}.get(row[:1], "")
        page.line((row or " ", style), indent=12, whole=True)


def _views(page: Page, diagnosis: Diagnosis) -> None:
    for module, views in words.contested(diagnosis).items():
        page.gap()
        page.line((f"Who says what about {module}", "bold"))
        asked = [words.WHO.get(item.who, item.who) for item in views]
        width = max(map(len, asked)) + 2
        for who, item in zip(asked, views, strict=True):
            page.line((f"{who:{width}}", "cyan"), words.view(item), (f" ({words.viewpoint(item)})", "dim"), indent=2, hang=width)


def _unexplained(page: Page, diagnosis: Diagnosis) -> None:
    symptoms = words.unexplained(diagnosis)
    if not symptoms:
        return
    page.gap()
    page.line(("Unexplained: no rule could say why", "bold"))
    for finding in symptoms:
        _finding(page, finding)


def _others(page: Page, diagnosis: Diagnosis) -> None:
    rest = words.others(diagnosis)
    if not rest:
        return
    page.gap()
    page.line(("Also seen", "bold"))
    for finding in rest:
        because = f", explained by {finding.explained_by}" if finding.explained_by else ""
        where = words.place(finding.location)
        page.line(
            (f"{words.WARNED} ", "yellow"),
            finding.title,
            (f" ({finding.rule} {finding.name}{because}{'; ' + where if where else ''})", "dim"),
            indent=2,
            hang=2,
        )


def _counts(page: Page, diagnosis: Diagnosis, verbose: bool) -> None:
    page.gap()
    if diagnosis.crashed:
        page.line((f"{words.FAILED} {words.plural(len(diagnosis.crashed), 'rule')} crashed", "bold red"))
        for crash in diagnosis.crashed:
            page.line(f"{crash.rule} {crash.name}: {crash.error}", indent=2, hang=2)
    page.line((f"{words.PASSED} {words.plural(len(diagnosis.passed), 'check')} passed", "green"))
    if verbose:
        for passed in diagnosis.passed:
            page.line(f"{passed.rule} {passed.name}: {passed.evidence}", indent=2, hang=2)
    if diagnosis.not_checked:
        page.line((f"{words.NOT_CHECKED} {words.plural(len(diagnosis.not_checked), 'check')} not made", "cyan"))
    groups = words.reasons(diagnosis)
    shown = groups if verbose else groups[:_REASONS_SHOWN]
    for reason, how, items in shown:
        names = ", ".join(item.name for item in (items if verbose else items[:_NAMES_SHOWN]))
        more = f", and {len(items) - _NAMES_SHOWN} more" if len(items) > _NAMES_SHOWN and not verbose else ""
        page.line(
            f"{len(items)}: {reason}",
            (f" → {how}" if how else "", "dim"),
            (f" ({names}{more})", "dim"),
            indent=2,
            hang=2,
        )
    if len(shown) < len(groups):
        rest = sum(len(items) for _, _, items in groups[_REASONS_SHOWN:])
        page.line((f"{rest}: for {len(groups) - _REASONS_SHOWN} other reasons, listed by --verbose", "dim"), indent=2)

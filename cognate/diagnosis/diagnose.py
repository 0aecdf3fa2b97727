"""Findings → ranked root causes. A pure function of the case: same case, same diagnosis."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

from cognate.case.case import Case
from cognate.case.curves import logged, loss_curves, validation_curves
from cognate.diagnosis.confidence import confidence
from cognate.diagnosis.model import (
    Crashed,
    Diagnosed,
    Diagnosis,
    EvidenceLine,
    NotChecked,
    Passed,
    Place,
    Remedy,
    Status,
    Subject,
    Training,
    View,
)
from cognate.discovery import Skill, all_rules
from cognate.rules.model import Finding, Fix, Kind, Outcome, Proof, Rule, Severity
from cognate.rules.runner import Selection, run_rules
from cognate.version import __version__

# A run is called healthy only where at least this share of its core rules could be checked; below that the honest
# answer is "inconclusive". Chosen so that a live run passes and a bare loss curve does not.
CORE_SHARE = 0.5
# The rule whose finding is the reason why nothing else can be said.
SHORT = "loss-too-short"


def diagnose(case: Case, skills: Iterable[Skill], selection: Selection | None = None) -> Diagnosis:
    """Judge `case` by the rules of `skills` and rank what they say (docs/diagnosis.md gives the order)."""
    skills = tuple(skills)
    outcomes = run_rules(all_rules(skills), case, selection)
    explained = _explained([(o.rule, finding) for o in outcomes for finding in o.findings])
    findings = _ranked([_with_experiments(item, case, outcomes) for item in explained])
    roots = tuple(item for item in findings if _is_root(item))
    crashed = tuple(Crashed(o.rule.code, o.rule.name, o.reason) for o in outcomes if o.status == "crashed")
    crashed += tuple(Crashed("", name, error) for skill in skills for name, error in skill.broken)
    status, reason = _status(case, findings, roots, outcomes)
    return Diagnosis(
        tool={
            "name": "cognate",
            "version": __version__,
            "skills": {skill.name: skill.version for skill in skills},
        },
        subject=_subject(case),
        status=status,
        reason=reason,
        root_causes=roots,
        findings=findings,
        passed=tuple(
            Passed(o.rule.code, o.rule.name, o.rule.summary, o.evidence, o.rule.core) for o in outcomes if o.status == "clear"
        ),
        not_checked=tuple(
            NotChecked(
                o.rule.code,
                o.rule.name,
                o.rule.summary,
                f"ignored: {o.reason}" if o.status == "ignored" else o.reason,
                o.how,
            )
            for o in outcomes
            if o.status in ("skipped", "ignored")
        ),
        crashed=crashed,
        training=_training(case, outcomes),
        views=_views(case) if any(item.rule.startswith("ENV") for item in roots) else (),
    )


def _views(case: Case) -> tuple[View, ...]:
    """The contradiction table of an examined environment."""
    return tuple(
        View(
            module=str(view.get("module")),
            who=str(view.get("who")),
            python=str(view.get("python")),
            first=view.get("first"),
            sees=view.get("file"),
            version=" ".join(filter(None, (view.get("distribution"), view.get("version")))) or None,
            fails=view.get("fails"),
            says=view.get("says"),
        )
        for view in case.environment.get("views", [])
        if isinstance(view, dict)
    )


def _training(case: Case, outcomes: list[Outcome]) -> Training | None:
    if case.training is None:
        return None
    from cognate.diagnosis.training import training

    return training(case, outcomes)


def _subject(case: Case) -> Subject:
    info = case.info
    title = info.get("title") or info.get("script") or (case.folder.name if case.folder else "case")
    facts: dict[str, Any] = {
        key: cast("dict[str, Any]", info)[key]
        for key in (
            "origin",
            "command",
            "started",
            "seconds",
            "exit",
            "exception",
            "integrity",
            "versions",
            "python",
            "columns",
            "log",
        )
        if key in info
    }
    return Subject(info.get("kind", "run"), str(case.folder or ""), str(title), case.steps, facts)


def _severity(rule: Rule, finding: Finding) -> Severity:
    return finding.severity or rule.severity


def _kind(rule: Rule, finding: Finding) -> Kind:
    return finding.kind or rule.kind


def _explained(fired: list[tuple[Rule, Finding]]) -> list[Diagnosed]:
    """Link each finding to the cause that accounts for it; a cause that begins after its effect accounts for nothing."""
    names = {rule.name for rule, _ in fired}
    links = [_explainer(rule, finding, fired) for rule, finding in fired]
    _break_rings(links, fired)
    return [
        _final(rule, finding, sorted(rule.explains & names), None if link is None else fired[link][0].name)
        for (rule, finding), link in zip(fired, links, strict=True)
    ]


def _explainer(rule: Rule, finding: Finding, fired: list[tuple[Rule, Finding]]) -> int | None:
    """Index of the strongest fired cause that accounts for `finding`."""
    explainers = [
        index
        for index, (other, its) in enumerate(fired)
        if rule.name in other.explains
        and other.name != rule.name
        and _kind(other, its) is Kind.CAUSE
        # What is only worth knowing must not take the place of what is wrong.
        and (_severity(other, its) is not Severity.INFO or _severity(rule, finding) is Severity.INFO)
        and (its.onset_step or 0) <= (finding.onset_step if finding.onset_step is not None else 1 << 60)
        # Of two causes that explain each other, the one with the stronger proof stands.
        and not (other.name in rule.explains and _strength(other, its) >= _strength(rule, finding))
    ]
    return min(explainers, key=lambda index: _strength(*fired[index]), default=None)


def _break_rings(links: list[int | None], fired: list[tuple[Rule, Finding]]) -> None:
    """Of causes that explain each other in a ring, the strongest one stands: a ring must not explain itself away."""
    for start in range(len(links)):
        chain: list[int] = []
        at: int | None = start
        while at is not None and at not in chain:
            chain.append(at)
            at = links[at]
        if at is not None:
            links[min(chain[chain.index(at) :], key=lambda index: _strength(*fired[index]))] = None


def _strength(rule: Rule, finding: Finding) -> tuple[int, int, str]:
    return (_severity(rule, finding).rank, finding.proof.rank, rule.code)


def _final(rule: Rule, finding: Finding, explains: list[str], explained_by: str | None) -> Diagnosed:
    value, basis = confidence(rule.name, finding.proof.value)
    place = finding.location
    return Diagnosed(
        rule=rule.code,
        name=rule.name,
        kind=_kind(rule, finding).value,
        severity=_severity(rule, finding).value,
        title=finding.title,
        proof=finding.proof.value,
        confidence=value,
        confidence_basis=basis,
        evidence=tuple(EvidenceLine(e.what, e.value, e.expected, e.source) for e in finding.evidence),
        location=Place(place.file, place.line, place.symbol, place.module) if place else None,
        onset_step=finding.onset_step,
        explains=tuple(explains),
        explained_by=explained_by,
        explanation=rule.explanation,
        fix=_remedy(finding.fix),
        docs=f"cognate rule {rule.name}",
    )


def _remedy(fix: Fix | None) -> Remedy | None:
    if fix is None:
        return None
    return Remedy(fix.summary, fix.steps, fix.commands, fix.effort, fix.risk, fix.diff, None)


def _with_experiments(item: Diagnosed, case: Case, outcomes: list[Outcome]) -> Diagnosed:
    """Give an unexplained symptom the one or two experiments that would tell its candidate causes apart."""
    if item.kind != "symptom" or item.explained_by is not None:
        return item
    candidates = [o for o in outcomes if o.status == "skipped" and item.name in o.rule.explains and o.rule.kind is Kind.CAUSE]
    if case.info.get("origin") != "live":
        causes = len([o for o in outcomes if item.name in o.rule.explains])
        text = f"`cognate run SCRIPT` observes the run itself and can tell {causes} causes of this apart; a log alone cannot"
        return replace(item, experiments=(text,))
    asked = [f"{o.rule.name} was not checked ({o.reason})" + (f": {o.how}" if o.how else "") for o in candidates if o.how][:2]
    longer = "`cognate run --probe-seconds 30 SCRIPT` gives the experiments on copies more time"
    return replace(item, experiments=tuple(asked) or (longer,))


def _ranked(findings: list[Diagnosed]) -> tuple[Diagnosed, ...]:
    def key(item: Diagnosed) -> tuple[Any, ...]:
        return (
            item.kind != "cause" or item.explained_by is not None,
            Severity(item.severity).rank,
            Proof(item.proof).rank,
            -len(item.explains),
            -(item.confidence if item.confidence is not None else 0.5),
            item.onset_step if item.onset_step is not None else 1 << 60,
            item.rule,
            item.title,
        )

    return tuple(sorted(findings, key=key))


def _is_root(item: Diagnosed) -> bool:
    return item.kind == "cause" and item.explained_by is None and item.severity != "info"


def _status(
    case: Case, findings: tuple[Diagnosed, ...], roots: tuple[Diagnosed, ...], outcomes: list[Outcome]
) -> tuple[Status, str]:
    open_symptoms = [f for f in findings if f.kind == "symptom" and f.explained_by is None and f.severity != "info"]
    worst = [*roots, *open_symptoms]
    if any(item.severity == "error" for item in worst):
        count = len(roots)
        if not count:
            return "unhealthy", f"{open_symptoms[0].title}; no rule could say why"
        return "unhealthy", f"{count} root cause{'s' if count > 1 else ''} found"
    if worst:
        what = "a root cause at warning level" if roots else "a symptom that no rule could explain"
        return "warning", f"{what}: {worst[0].title}"
    crash = case.info.get("exception")
    if crash:
        return "inconclusive", f"the run ended with {crash.get('type', 'an exception')} and no rule could say why"
    core = [o for o in outcomes if o.rule.core and o.status != "ignored"]
    checked = [o for o in core if o.status == "clear"]
    if not core or len(checked) < CORE_SHARE * len(core):
        return "inconclusive", _open(case, findings, f"{len(checked)} of {len(core)} core rules")
    return "healthy", f"{len(checked)} of {len(core)} core rules were checked and clear"


def _open(case: Case, findings: tuple[Diagnosed, ...], checked: str) -> str:
    """Why nothing can be concluded: a log shows curves alone, and a short one not even these."""
    short = next((finding.title for finding in findings if finding.name == SHORT), None)
    if short or not logged(case) or not (loss_curves(case) or validation_curves(case)):
        return short or f"only {checked} could be checked"
    return f"its curves give no cause for alarm, but a log lets only {checked} be checked"

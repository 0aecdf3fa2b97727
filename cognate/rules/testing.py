"""Helpers for skill authors: does a rule do on its own two examples what it says?"""

from __future__ import annotations

from cognate.rules.model import Rule
from cognate.rules.runner import run_rule


def example_problems(rule: Rule) -> list[str]:
    """What is wrong with the examples of `rule`, one sentence each; empty where it fires and stays quiet as it should.

    The quiet example has to be judged and found clear: being skipped for want of evidence proves nothing.
    """
    problems = []
    for label, example, wanted in (("fires", rule.fires, "fired"), ("quiet", rule.quiet, "clear")):
        try:
            outcome = run_rule(rule, example.case)
        except KeyError as error:
            return [f"{rule.code} {rule.name}: needs {error}, which is no kind of evidence (see cognate.rules.needs)"]
        if outcome.status != wanted:
            why = f": {outcome.reason}" if outcome.reason else ""
            if outcome.status == "fired":
                why = f": {outcome.findings[0].title}"
            problems.append(f"{rule.code} {rule.name}: its {label} example is {outcome.status}, not {wanted}{why}")
    return problems

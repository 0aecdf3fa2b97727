"""Rules and what becomes of them on a case: fired, clear, skipped, crashed, ignored."""

from __future__ import annotations

import pytest

from cognate.errors import SettingsError, SkillError
from cognate.rules import Case, Clear, Evidence, Example, Finding, Kind, Location, Proof, Severity, Skip, rule
from cognate.rules.needs import missing
from cognate.rules.runner import Selection, run_rule, run_rules
from cognate.rules.testing import example_problems


def made(body=None, **given):
    """A rule that does what `body` says; by default it has nothing to say."""

    def judge(case: Case, *, limit: float = 10.0):
        """The subject is at fault.

        It should not be.
        """
        yield from body(case, limit) if body else ()

    fields = {
        "code": "TST101",
        "name": "test-rule",
        "severity": Severity.ERROR,
        "kind": Kind.CAUSE,
        "fires": Example(),
        "quiet": Example(),
    }
    return rule(**{**fields, "sources": {"limit": "chosen for this test"}, **given})(judge)


FINDING = Finding("it is so", Proof.MEASUREMENT, (Evidence("a", 1),))
CASE = Case.of(info={"kind": "run", "origin": "live", "integrity": {"steps_seen": 7}}, metrics=[{"step": 1, "loss": 1.0}])


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ([FINDING], "fired"),
        ([Clear("seen"), FINDING], "fired"),
        ([Skip("cannot tell"), FINDING], "fired"),
        ([Clear("seen"), Skip("cannot tell")], "skipped"),
        ([Clear("one"), Clear("two")], "clear"),
        ([], "clear"),
    ],
)
def test_what_a_rule_says_decides_its_outcome(said, status):
    outcome = run_rule(made(lambda case, limit: said), CASE)
    assert outcome.status == status
    assert (outcome.findings == (FINDING,)) is (status == "fired")


def test_words_of_the_outcomes():
    assert run_rule(made(lambda case, limit: [Clear("one"), Clear("two")]), CASE).evidence == "one; two"
    assert run_rule(made(needs={"metrics.loss"}), CASE).evidence == "no sign of it (looked at metrics.loss over 7 steps)"
    skipped = run_rule(made(lambda case, limit: [Skip("cannot tell", "look closer")]), CASE)
    assert (skipped.reason, skipped.how) == ("cannot tell", "look closer")


def test_a_rule_that_raises_is_contained_also_in_mid_sentence():
    def body(case, limit):
        yield FINDING
        raise ZeroDivisionError("by nothing")

    outcome = run_rule(made(body), CASE)
    assert (outcome.status, outcome.reason, outcome.findings) == ("crashed", "ZeroDivisionError: by nothing", ())


def test_a_rule_without_its_evidence_is_skipped_before_it_runs():
    outcome = run_rule(made(lambda case, limit: 1 / 0, needs={"probe.causality", "metrics.loss"}), CASE)
    assert outcome.status == "skipped" and "causality probe did not run" in outcome.reason and outcome.how


@pytest.mark.parametrize(
    ("need", "parts"),
    [
        ("run", {"info": {"origin": "live"}}),
        ("source", {"source": {"a.py": "x"}}),
        ("model", {"model": {"roots": [{}]}}),
        ("environment", {"environment": {"path": []}}),
        ("trace", {"trace": [{"w": 1}]}),
        ("layers", {"layers": [{"step": 1}]}),
        ("events.loss_call", {"events": [{"kind": "loss_call"}]}),
        ("metrics.val_loss", {"metrics": [{"step": 1}, {"step": 2, "val_loss": 1.0}]}),
        ("metrics.loss", {"metrics": [{"step": 1, "loss": None, "nonfinite": {"loss": "nan"}}]}),
        ("probe.causality", {"probes": [{"probe": "causality", "status": "ok"}]}),
    ],
)
def test_evidence_that_is_there_and_evidence_that_is_not(need, parts):
    assert missing(Case.of(**parts), need) is None
    reason, how = missing(Case.of(), need)
    assert reason and "cognate" in how


def test_the_reason_of_a_probe_that_did_not_run_is_passed_on():
    case = Case.of(probes=[{"probe": "causality", "status": "not_run", "reason": "probes were turned off"}])
    assert missing(case, "probe.causality")[0] == "the causality probe did not run: probes were turned off"


def test_a_need_that_does_not_exist_is_an_error_of_the_rule():
    with pytest.raises(KeyError):
        missing(CASE, "nonsense")
    problems = example_problems(made(needs={"nonsense"}))
    assert len(problems) == 1 and "nonsense" in problems[0]


RULES = [
    made(lambda case, limit: [FINDING], code="AAA102", name="second"),
    made(lambda case, limit: [Clear("ok")], code="AAA101", name="first"),
    made(code="BBB101", name="third"),
    made(code="CCC101", name="elsewhere", subjects={"environment"}),
]


def outcomes(**selection):
    return [(o.rule.code, o.status) for o in run_rules(RULES, CASE, Selection(**selection))]


def test_rules_run_in_the_order_of_their_codes_on_their_own_subjects():
    assert outcomes() == [("AAA101", "clear"), ("AAA102", "fired"), ("BBB101", "clear")]
    environment = Case.of(info={"kind": "environment"})
    assert [o.rule.code for o in run_rules(RULES, environment)] == ["CCC101"]


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        (("AAA",), ["AAA101", "AAA102"]),
        (("aaa102",), ["AAA102"]),
        (("third", "first"), ["AAA101", "BBB101"]),
        (("ALL",), ["AAA101", "AAA102", "BBB101"]),
        (("nothing",), []),
    ],
)
def test_selection_by_name_code_and_family(words, codes):
    assert [code for code, _ in outcomes(select=words)] == codes


def test_ignored_rules_stay_in_sight_with_their_reason():
    done = run_rules(RULES, CASE, Selection(ignore={"second": "we know", "BBB": "later"}))
    assert [(o.rule.name, o.status, o.reason) for o in done] == [
        ("first", "clear", ""),
        ("second", "ignored", "we know"),
        ("third", "ignored", "later"),
    ]


def test_thresholds_can_be_set_and_are_checked():
    seen = []
    ruled = made(lambda case, limit: seen.append(limit) or [Clear("ok")])
    run_rules([ruled], CASE)
    run_rules([ruled], CASE, Selection(thresholds={"test-rule": {"limit": 3.0}}))
    assert seen == [10.0, 3.0]
    assert ruled.thresholds["limit"].default == 10.0 and ruled.thresholds["limit"].source == "chosen for this test"
    with pytest.raises(SettingsError, match=r"rules\.test-rule\] sets limt, but its thresholds are: limit\."):
        run_rules([ruled], CASE, Selection(thresholds={"test-rule": {"limt": 1}}))
    with pytest.raises(SettingsError, match=r"rules\.other\] names no rule"):
        run_rules([ruled], CASE, Selection(thresholds={"other": {"limit": 1}}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"code": "tst101"}, "Rule code 'tst101' should be"),
        ({"code": "TST1"}, "Rule code 'TST1' should be"),
        ({"name": "Not_A_Name"}, "should be lowercase words joined by hyphens"),
        ({"sources": {}}, "threshold limit cites no source"),
    ],
)
def test_a_rule_that_is_incomplete_is_refused(given, message):
    with pytest.raises(SkillError, match=message):
        made(**given)


def test_a_rule_without_a_docstring_is_refused():
    with pytest.raises(SkillError, match="has no docstring"):

        @rule(code="TST101", name="mute", severity=Severity.INFO, kind=Kind.CAUSE, fires=Example(), quiet=Example())
        def mute(case):
            yield Clear("")


def test_the_parts_of_a_rule():
    ruled = made(code="TST123")
    assert (ruled.family, ruled.summary, ruled.explanation) == ("TST", "The subject is at fault.", "It should not be.")


def test_examples_have_to_do_what_they_are_for():
    def body(case, limit):
        loss = case.metrics[-1]["loss"]
        yield FINDING if loss > limit else Clear("low")

    high, low = Example(metrics=[{"loss": 99.0}]), Example(metrics=[{"loss": 1.0}])
    assert example_problems(made(body, fires=high, quiet=low)) == []
    assert [p.split(": ")[1] for p in example_problems(made(body, fires=low, quiet=high))] == [
        "its fires example is clear, not fired",
        "its quiet example is fired, not clear",
    ]
    (skipped,) = example_problems(made(body, fires=high, quiet=Example(), needs={"metrics.loss"}))
    assert "its quiet example is skipped, not clear: no loss was recorded" in skipped


def test_locations():
    assert Location.of(None) is None and Location.of({}) is None
    assert Location.of({"file": "a.py", "line": 3, "function": "f"}, "m") == Location("a.py", 3, "f", "m")
    assert Location.of(None, "layers.0") == Location(module="layers.0")

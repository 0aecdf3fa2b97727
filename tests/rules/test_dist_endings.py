"""Runs of several ranks that ended early or were slow: which rank it was, and when nobody can say."""

from __future__ import annotations

from typing import Any

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}
ECHO = {"type": "RuntimeError", "message": "[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:45996."}
FLAKY = {"type": "ValueError", "message": "flaky", "site": {"file": "train.py", "line": 25, "function": "main"}}
RAISED = """

-- Process 1 terminated with the following error:
Traceback (most recent call last):
  File "/lib/torch/multiprocessing/spawn.py", line 87, in _wrap
    fn(i, *args)
  File "/home/me/train.py", line 3, in main
    raise ValueError("flaky")
ValueError: flaky
"""


def ended(unfinished: list[int], crashed: list[int], first: Any, other: Any, code: int = 1) -> Case:
    info = {"ranks": {"recorded": [0, 1], "unfinished": unfinished, "crashed": crashed}, "exit": {"code": code}}
    group = {"kind": "rank", "name": "group", "world": 2, "step": 0, "n": 1}
    parts = {1: {"events": [{**group, "rank": 1}], "info": {"exception": other} if other else {}, "metrics": [{"step": 0}]}}
    info |= {"exception": first} if first else {}
    source = {"train.py": "def main():\n    pass\n    raise ValueError\n"}
    return Case.of(info=info, events=[{**group, "rank": 0}], metrics=[{"step": 0}], ranks=parts, source=source)


def lost(case: Case) -> tuple[str, str, str]:
    outcome = run_rule(RULES["dist-rank-lost"], case)
    finding = outcome.findings[0] if outcome.findings else None
    severity = (finding.severity or outcome.rule.severity).value if finding else ""
    return outcome.status, finding.title if finding else outcome.reason or outcome.evidence, severity


def test_the_echo_of_a_lost_rank_is_told_from_what_it_raised():
    status, title, severity = lost(ended([], [0, 1], ECHO, FLAKY))
    assert (status, severity) == ("fired", "error") and title.startswith("rank 1 alone raised ValueError at train.py:25")


def test_a_run_that_ended_well_after_a_restart_is_a_warning():
    status, title, severity = lost(ended([], [0, 1], ECHO, FLAKY, code=0))
    assert (status, severity) == ("fired", "warning") and "started again" in title


def test_a_rank_without_an_ending_beside_one_that_lost_its_connection_was_killed():
    status, title, _ = lost(ended([1], [0], ECHO, None))
    assert status == "fired" and title.startswith("rank 1 was ended by a signal")


@pytest.mark.parametrize(("unfinished", "fires"), [([0], True), ([], False)])
def test_the_first_that_multiprocessing_names_was_alone_where_another_was_stopped(unfinished, fires):
    crash = {"type": "ProcessRaisedException", "message": RAISED, "traceback": "", "site": None}
    status, title, _ = lost(ended(unfinished, [], crash, None))
    assert (status == "fired") is fires
    assert not fires or title.startswith("rank 1 alone raised ValueError at train.py:3")


def test_what_broke_off_without_a_word_may_have_been_stopped():
    status, title, severity = lost(ended([0, 1], [], None, None))
    assert (status, severity) == ("fired", "warning") and title.startswith("2 of 2 ranks broke off without an exception")


def test_ranks_that_raise_the_same_are_no_lost_rank():
    assert lost(ended([], [0, 1], FLAKY, FLAKY))[0] == "clear"
    assert lost(ended([], [], None, None, code=0))[0] == "clear"
    assert lost(ended([0, 1], [], ECHO, None))[0] == "skipped"


def paced(rank: int, own: list[float], waits: float = 0.0) -> dict[str, Any]:
    """Steps of 100 ms in which this rank comes to its backward after `own` seconds."""
    events: list[dict[str, Any]] = [{"kind": "rank", "name": "group", "rank": rank, "world": 2, "step": 0, "n": 1}]
    for step, seconds in enumerate(own):
        events.append({"kind": "call", "name": "backward", "step": step, "n": 3 * step + 2, "t": 0.1 * step + seconds})
        state = {"kind": "rank", "name": "state", "object": "optimizer#0", "tensors": 2, "parameters": step, "gradients": step}
        events.append({**state, "step": step, "n": 3 * step + 3})
    rows = [{"step": s, "t": 0.1 * (s + 1), "step_time": 0.1, "data_time": waits} for s in range(len(own))]
    return {"events": events, "metrics": rows}


def straggling(mine: dict[str, Any], other: dict[str, Any]) -> Any:
    return run_rule(RULES["dist-straggler"], Case.of(**mine, ranks={1: other}))


def test_a_rank_that_waits_for_its_data_is_told_from_one_that_computes():
    loads = straggling(paced(0, [0.02] * 14), paced(1, [0.07] * 14, waits=0.05)).findings[0].title
    works = straggling(paced(0, [0.02] * 14), paced(1, [0.07] * 14)).findings[0].title
    assert "rank 1" in loads and "waits for its DataLoader" in loads and "computes" in works


def test_batches_of_unequal_length_and_small_differences_are_no_straggler():
    turns = straggling(paced(0, [0.02, 0.07] * 7), paced(1, [0.07, 0.02] * 7))
    small = straggling(paced(0, [0.02] * 14), paced(1, [0.03] * 14))
    few = straggling(paced(0, [0.02] * 6), paced(1, [0.07] * 6))
    assert (turns.status, small.status, few.status) == ("clear", "clear", "skipped")


def unused(text: str, source: str = "") -> Any:
    group = {"kind": "rank", "name": "group", "rank": 0, "world": 2, "step": 0, "n": 1}
    wrapper = {"kind": "rank", "name": "wrapper", "object": "model#0", "module": "model#1", "n": 2, "step": 0}
    crash = {"type": "RuntimeError", "message": text, "traceback": "", "site": {"file": "t.py", "line": 9}}
    case = Case.of(info={"exception": crash}, events=[group, wrapper], source={"t.py": source})
    return run_rule(RULES["dist-unused-params"], case)


def test_indices_of_unused_parameters_are_shown_and_other_errors_are_not_theirs():
    text = "Expected to have finished reduction in the prior iteration before ...\n"
    finding = unused(text + "Parameter indices which did not receive grad for rank 1: 4 5\n In addition, ...").findings[0]
    assert finding.evidence[1].value == [4, 5] and "Remove the layers" in finding.fix.summary
    told = unused(text, "model = DDP(net, find_unused_parameters=True)\n").findings[0]
    assert "every output of the forward" in told.fix.summary
    assert unused("CUDA out of memory").status == "clear"

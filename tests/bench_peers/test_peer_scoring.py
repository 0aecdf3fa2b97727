"""How what a peer says is counted, and that its table of meanings speaks the corpus's language."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.peers.__main__ import BEGIN, END, PEERS, into, judged, missing, sampled
from benchmarks.peers.peer import Peer
from benchmarks.peers.table import markdown
from benchmarks.peers.verdict import Finding, Meaning, Verdict, outcome, ranked
from benchmarks.peers.workshop import NotRunError, Program, Workshop, load

MEANINGS = {
    "rate": Meaning(names=("opt-lr-too-high",)),
    "nan": Meaning(names=("loss-nonfinite",), guesses=("opt-lr-too-high",), symptom=True),
    "shape": Meaning(names=("loss-shape-broadcast",)),
}


def said(*ids: str) -> Verdict:
    return Verdict("ok", findings=[Finding(one, "warning") for one in ids])


@pytest.mark.parametrize(
    ("verdict", "on_twin", "expected"),
    [
        (said("rate", "shape"), set(), "first"),
        (said("shape", "rate"), set(), "among"),
        (said("nan"), set(), "among"),
        (said("shape"), set(), "misleading"),
        (said(), set(), "silent"),
        (Verdict("not run", reason="no"), set(), "not run"),
    ],
)
def test_an_outcome_follows_from_ids_alone(verdict: Verdict, on_twin: set[str], expected: str) -> None:
    assert outcome(verdict, MEANINGS, {"opt-lr-too-high"}, on_twin) == expected


def test_a_symptom_that_the_fixed_twin_shows_too_leads_nowhere() -> None:
    assert outcome(said("nan"), MEANINGS, {"eval-overfit"}, set()) == "symptom"
    assert outcome(said("nan"), MEANINGS, {"eval-overfit"}, {"nan"}) == "misleading"


def test_findings_are_ranked_by_severity_and_each_id_counts_once() -> None:
    order = ranked([Finding("a", "info"), Finding("b", "error"), Finding("a", "warning"), Finding("c", "warning")])
    assert [(one.id, one.severity) for one in order] == [("b", "error"), ("a", "warning"), ("c", "warning")]


def test_every_meaning_names_causes_in_the_form_of_the_corpus() -> None:
    families = {"env", "data", "model", "grad", "opt", "loss", "act", "eval", "num", "dist", "repro", "perf", "code"}
    for peer in PEERS:
        for meaning in peer.meanings.values():
            assert {name.split("-")[0] for name in meaning.names + meaning.guesses} <= families, peer.name


def program(folder: Path, identity: str, healthy: bool, base: str = "") -> Program:
    (folder / identity).mkdir(parents=True)
    (folder / identity / "train.py").write_text("print('loss 1.0')\n")
    return Program(
        identity, folder / identity, healthy, frozenset() if healthy else frozenset({"opt-lr-too-high"}), base or identity
    )


def test_a_sample_brings_the_twins_of_its_faulty_programs(tmp_path: Path) -> None:
    programs = [program(tmp_path, f"base{n}", True) for n in range(4)]
    programs += [program(tmp_path, f"base{n}--fault", False, f"base{n}") for n in range(4)]
    programs += [program(tmp_path, f"like{n}", True) for n in range(4)]
    ids = {one.id for one in sampled(programs, 2)}
    assert len(ids) == 5
    assert {one.split("--")[0] for one in ids if "--" in one} <= ids


def test_truth_is_read_from_one_file_or_from_each_folder(tmp_path: Path) -> None:
    truth = {"cause": "opt-lr-too-high", "alternatives": ["grad-exploding"], "base": "a", "healthy": False}
    for name in ("a", "a--fault"):
        (tmp_path / name).mkdir()
    (tmp_path / "truth.json").write_text(json.dumps({"a": {"healthy": True}}))
    (tmp_path / "a--fault" / "truth.json").write_text(json.dumps(truth))
    programs = load(tmp_path)
    assert programs["a"].healthy
    assert programs["a--fault"].accepted == {"opt-lr-too-high", "grad-exploding"}
    assert programs["a--fault"].base == "a"


def test_a_verdict_is_kept_until_the_program_changes(tmp_path: Path) -> None:
    one = program(tmp_path / "corpus", "a", True)
    calls: list[str] = []

    def judge(which: Program, workshop: Workshop) -> Verdict:
        calls.append(which.id)
        raise NotRunError("it has no wheels")

    peer = Peer("runmedic", "Some tool 1", None, "none", "none", "nothing", MEANINGS, judge)
    workshop = Workshop(tmp_path, tmp_path / "work")
    assert judged(one, [peer], workshop)["runmedic"].reason == "it has no wheels"
    judged(one, [peer], workshop)
    assert calls == ["a"]
    (one.folder / "train.py").write_text("print('loss 2.0')\n")
    judged(one, [peer], workshop)
    assert calls == ["a", "a"]


def test_the_table_says_what_was_not_measured_and_goes_into_its_block(tmp_path: Path) -> None:
    peer = Peer("runmedic", "Tool 1", None, "none", "none", "logs", MEANINGS, lambda *_: said())
    programs = [program(tmp_path, "a", True), program(tmp_path, "a--fault", False, "a")]
    table = markdown([peer], programs, {"runmedic": {"a": said(), "a--fault": said("rate")}}, {})
    assert "| Tool 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 (0) of 1 |" in table
    assert "not measured: it is not installed" in markdown([peer], programs, {}, {"runmedic": "it is not installed"})
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    into(page, "new\n")
    assert page.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


def test_a_peer_that_is_not_installed_is_named(tmp_path: Path) -> None:
    absent = missing(PEERS, tmp_path)
    assert set(absent) == {peer.name for peer in PEERS if peer.module}

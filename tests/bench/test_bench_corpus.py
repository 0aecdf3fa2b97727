"""Reading a corpus, choosing from it, and what is remembered of its runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cognate.bench import confidence, engine, versions
from cognate.bench.cache import Cache, Observed
from cognate.bench.corpus import read_corpus, select
from cognate.bench.runner import copied
from cognate.bench.score import Scored
from cognate.case.store import write_json
from cognate.diagnosis import confidence as reader
from cognate.errors import CognateError, UsageError

TRUTH: dict[str, dict[str, Any]] = {
    "mlp": {"kind": "fixed", "style": "flat", "domain": "mlp", "part": "dev"},
    "mlp--twice": {
        "kind": "faulty",
        "base": "mlp",
        "cause": "loss-softmax-twice",
        "alternatives": ["loss-other-name"],
        "culprit": [{"file": "train.py", "lines": [3, [7, 9]]}],
    },
    "gan": {"kind": "fixed", "style": "argparse", "part": "test"},
    "gan--step": {"kind": "faulty", "base": "gan", "cause": "grad-not-zeroed", "part": "test"},
    "accumulates": {"kind": "healthy", "resembles": "grad-not-zeroed", "part": "test", "fast": True},
}


def corpus(folder: Path, truth: dict[str, dict[str, Any]] | None = None) -> Path:
    for identity in TRUTH if truth is None else truth:
        (folder / identity).mkdir(parents=True, exist_ok=True)
        (folder / identity / "train.py").write_text(f"print({identity!r})\n")
    (folder / "truth.json").write_text(json.dumps(TRUTH if truth is None else truth))
    return folder


def ids(programs) -> set[str]:
    return {program.id for program in programs}


def test_the_truth_is_read(tmp_path):
    programs = {program.id: program for program in read_corpus(corpus(tmp_path)).programs}
    twice = programs["mlp--twice"]
    assert (twice.kind, twice.family, twice.style, twice.domain, twice.part) == ("faulty", "LOSS", "flat", "mlp", "dev")
    assert twice.right == {"loss-softmax-twice", "loss-other-name"}
    assert twice.culprit == (("train.py", 3, 3), ("train.py", 7, 9))
    assert (programs["mlp"].kind, programs["mlp"].family) == ("fixed", "")
    assert (programs["accumulates"].kind, programs["accumulates"].family) == ("healthy", "GRAD")


def test_each_program_may_hold_its_own_truth_and_it_is_never_shown(tmp_path):
    folder = tmp_path / "corpus"
    corpus(folder)
    (folder / "truth.json").unlink()
    for identity, entry in TRUTH.items():
        (folder / identity / "truth.json").write_text(json.dumps(entry))
    programs = read_corpus(folder).programs
    assert ids(programs) == set(TRUTH)
    copied(programs[0], tmp_path / "copy")
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["train.py"]


def test_names_of_another_catalogue_are_mapped(tmp_path):
    truth = {"x": {"kind": "faulty", "cause": "softmax-before-cross-entropy", "family": "LOSS"}}
    corpus(tmp_path, truth)
    (tmp_path / "aliases.json").write_text('{"softmax-before-cross-entropy": ["loss-softmax-twice"]}')
    assert "loss-softmax-twice" in read_corpus(tmp_path).programs[0].right


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kind": "odd"}, "kind is 'odd'"),
        ({}, "kind is None"),
        ({"kind": "faulty"}, "needs its cause"),
        ({"kind": "faulty", "cause": "x", "culprit": [{"file": "train.py"}]}, "culprit in truth.json should look like"),
        ({"kind": "fixed", "script": "main.py"}, r"there is no .*main\.py"),
        ([1], "should be an object"),
    ],
)
def test_what_is_wrong_with_a_truth_is_one_sentence(tmp_path, entry, message):
    corpus(tmp_path, {"x": entry})
    with pytest.raises(UsageError, match=message):
        read_corpus(tmp_path)


def test_a_twin_in_another_part_is_refused(tmp_path):
    corpus(tmp_path, {"m": {"kind": "fixed", "part": "dev"}, "f": {"kind": "faulty", "cause": "x", "base": "m", "part": "test"}})
    with pytest.raises(UsageError, match="they must agree"):
        read_corpus(tmp_path)


def test_a_folder_without_truth_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"holds no truth\.json"):
        read_corpus(tmp_path)


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({}, set(TRUTH)),
        ({"part": "dev"}, {"mlp", "mlp--twice"}),
        ({"families": ["grad"]}, {"gan", "gan--step", "accumulates"}),
        ({"styles": ["flat"]}, {"mlp", "mlp--twice"}),
        ({"only": ["gan*", "mlp"]}, {"gan", "gan--step", "mlp"}),
        ({"fast": True}, {"accumulates", "gan"}),
    ],
)
def test_choosing(tmp_path, options, chosen):
    (corpus(tmp_path) / "fast.json").write_text('["gan"]')
    assert ids(select(read_corpus(tmp_path).programs, **options)) == chosen


def test_choosing_nothing_says_what_there_is(tmp_path):
    with pytest.raises(UsageError, match=r"families GRAD, LOSS; styles argparse, flat"):
        select(read_corpus(corpus(tmp_path)).programs, families=["ACT"])


class Fake:
    """Observes nothing, writes a small case, and counts."""

    seen: list[str]
    slow: frozenset[str] = frozenset()

    def __init__(self, cache: Cache, limit: float, probe_seconds: float) -> None:
        self.cache, self.stopped = cache, False

    def observe(self, program) -> Observed:
        Fake.seen.append(program.id)
        work = self.cache.work / program.id
        (work / "case").mkdir(parents=True)
        write_json(work / "case" / "case.json", {"schema": "cognate.case/1", "kind": "run", "title": program.id})
        run = Observed("timed out" if program.id in Fake.slow else "ok", 0, 1.0, 0.5, "")
        self.cache.keep(program, run, work / "case", work / "diagnosis.json")
        work.rmdir()
        return run

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def bench(tmp_path, monkeypatch):
    folder = corpus(tmp_path / "corpus")
    judged: list[str] = []
    real = engine.judge

    def judge(case: Path):
        found = real(case)
        judged.append(found["subject"]["title"])
        return found

    monkeypatch.setattr(engine, "Runner", Fake)
    monkeypatch.setattr(engine, "judge", judge)

    def run() -> tuple[set[str], set[str]]:
        Fake.seen = []
        judged.clear()
        options = engine.Options(1, cache=tmp_path / "cache")
        results = engine.run(read_corpus(folder).programs, options)
        assert all(result.diagnosis["subject"]["title"] == result.program.id for result in results)
        return set(Fake.seen), set(judged)

    run.corpus = folder
    return run


def test_what_was_done_is_not_done_again(bench):
    assert bench() == (set(TRUTH), set(TRUTH))
    assert bench() == (set(), set())


def test_a_changed_program_runs_again_alone(bench):
    bench()
    (bench.corpus / "mlp" / "train.py").write_text("print(2)\n")
    assert bench() == ({"mlp"}, {"mlp"})


def test_a_changed_truth_runs_nothing(bench):
    bench()
    truth = {**TRUTH, "gan--step": {**TRUTH["gan--step"], "cause": "grad-vanishing"}}
    (bench.corpus / "truth.json").write_text(json.dumps(truth))
    assert bench() == (set(), set())


def test_a_changed_rule_judges_every_case_again_and_runs_none(bench, monkeypatch):
    bench()
    monkeypatch.setattr(versions, "judging", lambda skills: "other rules")
    assert bench() == (set(), set(TRUTH))
    assert bench() == (set(), set())


def test_changed_observing_code_runs_everything_again(bench, monkeypatch):
    bench()
    monkeypatch.setattr(versions, "observing", lambda: "other recorder")
    assert bench() == (set(TRUTH), set(TRUTH))


def test_what_ran_out_of_time_is_tried_again(bench, monkeypatch):
    monkeypatch.setattr(Fake, "slow", frozenset({"gan"}))
    bench()
    monkeypatch.setattr(Fake, "slow", frozenset())
    assert bench() == ({"gan"}, {"gan"})
    assert bench() == (set(), set())


def test_rules_that_change_meanwhile_are_no_result(bench, monkeypatch):
    names = iter(["before", "after"])
    monkeypatch.setattr(versions, "judging", lambda skills: next(names))
    with pytest.raises(CognateError, match="changed while the bench ran"):
        bench()


def test_the_code_has_a_name_that_follows_its_content(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    first = versions._digest(tmp_path.rglob("*"), tmp_path)
    (tmp_path / "notes.txt").write_text("not code")
    assert versions._digest(tmp_path.rglob("*"), tmp_path) == first
    (tmp_path / "a.py").write_text("x = 2\n")
    assert versions._digest(tmp_path.rglob("*"), tmp_path) != first


def claims(program, *said: tuple[str, str, bool]) -> Scored:
    return Scored(program, "ok", 1.0, 1.0, claims=said)


def test_confidence_counts_the_test_part_and_is_read_back(tmp_path, monkeypatch):
    programs = {program.id: program for program in read_corpus(corpus(tmp_path)).programs}
    items = [
        claims(programs["mlp--twice"], ("loss-softmax-twice", "source", True)),
        claims(programs["gan--step"], ("grad-not-zeroed", "measurement", True), ("loss-diverging", "inference", False)),
        claims(programs["gan"]),
        claims(programs["accumulates"], ("grad-not-zeroed", "measurement", False)),
    ]
    text = confidence.document(items, programs.values(), "corpus", {})
    assert text == confidence.document(items[::-1], programs.values(), "corpus", {})
    assert json.loads(text)["rules"] == {
        "grad-not-zeroed": {"measurement": [1, 2]},
        "loss-diverging": {"inference": [0, 1]},
    }
    (tmp_path / "confidence.json").write_text(text)
    monkeypatch.setattr(reader, "__file__", str(tmp_path / "confidence.py"))
    reader._table.cache_clear()
    try:
        assert reader.confidence("grad-not-zeroed", "measurement") == (0.5, "right 1 of 2 times on the fault corpus")
        assert reader.confidence("grad-not-zeroed", "source") == (None, "unmeasured")
        assert reader.confidence("loss-softmax-twice", "source") == (None, "unmeasured")
    finally:
        reader._table.cache_clear()


def test_confidence_from_a_part_of_the_programs_is_refused(tmp_path):
    programs = read_corpus(corpus(tmp_path)).programs
    with pytest.raises(UsageError, match="2 of its 3 programs were left out"):
        confidence.document([claims(program) for program in programs if program.id == "gan"], programs, "c", {})
    with pytest.raises(UsageError, match="No program of the corpus is in the part 'test'"):
        confidence.document([], [program for program in programs if program.part == "dev"], "c", {})

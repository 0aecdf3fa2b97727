"""Whatever bytes lie in a file or a folder: a run that is a case, or one sentence. benchmarks/fuzz_logs.py tries more."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fuzz_logs import TOKENS, mutated, outcome
from benchmarks.made_logs import made
from cognate.observe.logs import readers, recognise, text

LOGS = made()
NAMES = sorted(LOGS)
inputs = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(0, 2**32))


@given(inputs, st.sampled_from([None, 64, 5000]))
def test_a_damaged_log_is_read_or_refused_in_one_sentence(tmp_path_factory, chosen, piece):
    name, other, seed = chosen
    check(tmp_path_factory, name, mutated(LOGS[name], LOGS[other], random.Random(seed)), piece)


@given(
    st.sampled_from(NAMES),
    st.lists(st.sampled_from([*TOKENS, *LOGS.values()]) | st.binary(max_size=60), max_size=8).map(b"".join),
)
def test_any_bytes_are_read_or_refused_in_one_sentence(tmp_path_factory, name, content):
    check(tmp_path_factory, name, content, None)


def check(factory, name, content, piece):
    folder = factory.mktemp("run")
    (folder / name).write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        if piece:
            patch.setattr(text, "SMALL", -1)
            patch.setattr(text, "PIECE", piece)
        for target in (folder / name, folder):
            assert outcome(target, folder / "case") in ("read", "refused")


@pytest.mark.parametrize("reader", readers(), ids=lambda reader: reader.__name__.rpartition(".")[2])
def test_no_reader_takes_what_is_none_of_its_own_or_reads_a_link_to_itself(reader, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "binary.csv").write_bytes(random.Random(1).randbytes(100_000))
    (tmp_path / "prose.txt").write_text("The loss of the ship in 1912 was a step back.\n" * 50)
    (tmp_path / "config.json").write_text(json.dumps({"lr": 0.1, "layers": [1, 2, 3], "name": "x"}))
    for name in ("empty", "loop", "binary.csv", "prose.txt", "config.json", "absent"):
        assert reader.find(tmp_path / name) is None


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith((".csv", ".tsv", ".jsonl", ".json"))])
def test_every_healthy_log_is_recognised_by_content_alone(name, tmp_path):
    (tmp_path / "copied.dat").write_bytes(LOGS[name])
    reader, file = recognise(tmp_path / "copied.dat")
    run = reader.read(file)
    assert run.rows and run.errors == []

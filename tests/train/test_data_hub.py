"""The hub is asked only after the cache, never for long, and its absence is one clear sentence."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import datasets
import pytest
from huggingface_hub import constants

from cognate.errors import UsageError
from cognate.train.data import hub
from cognate.train.data.corpus import DataOptions, load
from cognate.train.data.sources import read
from cognate.train.data.tokenizer import learn, obtain


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    """Empty caches, and a hub on a port where nobody listens."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for module in (constants, datasets.config):
        monkeypatch.setattr(module, "HF_HUB_OFFLINE", False)
    return tmp_path


def folder(path: Path, **splits: int) -> Path:
    path.mkdir(parents=True)
    for split, count in splits.items():
        rows = [json.dumps({"question": f"{split} {number}?", "answer": f"#### {number}"}) for number in range(count)]
        (path / f"{split}.jsonl").write_text("\n".join(rows))
    return path


def cached(tmp_path: Path) -> str:
    """A data set that lies in the cache as if it had been downloaded, and nowhere else."""
    source = folder(tmp_path / "made_up", train=6, test=3)
    datasets.load_dataset(str(source))
    shutil.move(tmp_path / "datasets" / "made_up", tmp_path / "datasets" / "someone___made_up")
    shutil.rmtree(source)
    return "hf:someone/made_up"


def test_a_cached_data_set_is_read_without_the_network_and_keeps_its_parts(tmp_path, monkeypatch):
    name = cached(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as watched:
        for module, variable in ((constants, "ENDPOINT"), (datasets.config, "HF_ENDPOINT")):
            monkeypatch.setattr(module, variable, f"http://127.0.0.1:{watched.getsockname()[1]}")

        result = read(DataOptions(source=name))

        watched.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has called
            watched.accept()
    assert [document.prompt for document in result.documents] == [f"train {number}?\n" for number in range(6)]
    assert [document.prompt for document in result.held_out or []] == [f"test {number}?\n" for number in range(3)]
    assert result.documents[1].where == f"{name}@train: row 2"
    assert (result.facts["split"], result.facts["validation_split"]) == ("train", "test")
    assert (constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE) == (False, False)


def test_one_split_can_be_named_and_is_then_all_there_is(tmp_path):
    source = f"hf:{folder(tmp_path / 'local', train=5, validation=5, test=5)}"

    alone = read(DataOptions(source=f"{source}@test"))
    whole = read(DataOptions(source=source))

    assert [document.prompt for document in alone.documents] == [f"test {number}?\n" for number in range(5)]
    assert alone.held_out is None
    assert [document.prompt for document in whole.held_out or []] == [f"validation {number}?\n" for number in range(5)]
    with pytest.raises(UsageError, match=r"no split 'dev' .*it has train, validation, test"):
        read(DataOptions(source=f"{source}@dev"))


@pytest.mark.parametrize("offline", [True, False])
def test_a_data_set_out_of_reach_is_one_sentence_with_the_cache_in_it(tmp_path, monkeypatch, offline):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)

    with pytest.raises(UsageError) as error:
        load(DataOptions(source="hf:someone/unknown:main"), None)

    message = str(error.value)
    assert "someone/unknown is not in the local cache" in message and str(tmp_path / "datasets") in message
    assert ("offline mode is set" in message) is offline
    assert ("could not be fetched from http://127.0.0.1:9" in message) is not offline
    assert "give a file instead" in message and "\n" not in message


def test_a_hub_that_takes_the_call_and_says_nothing_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(hub, "REACH_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")

        with pytest.raises(UsageError, match=r"could not be fetched.*Timeout"):
            load(DataOptions(source="hf:someone/unknown"), None)


def test_a_malformed_name_is_refused():
    with pytest.raises(UsageError, match="write hf:NAME"):
        read(DataOptions(source="hf:"))


def test_a_cached_tokenizer_is_found_by_its_name(tmp_path):
    repository = tmp_path / "hub" / "models--someone--words"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    (repository / "snapshots" / ("0" * 40)).mkdir(parents=True)
    learn([], 258).save(str(repository / "snapshots" / ("0" * 40) / "tokenizer.json"))

    _, facts = obtain("someone/words", [], 300)

    assert (facts["vocabulary"], facts["origin"]) == (258, "someone/words of the Hugging Face hub")


def test_a_tokenizer_that_is_nowhere_is_one_sentence(tmp_path):
    with pytest.raises(UsageError, match=r"tokenizer.json of someone/none is not in the local cache") as error:
        obtain("someone/none", [], None)
    assert str(tmp_path / "hub") in str(error.value) and "\n" not in str(error.value)

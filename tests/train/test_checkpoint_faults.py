"""Checkpoints that cannot be written, are damaged, or do not fit: one sentence, and the last good one intact."""

import json
import resource
import subprocess

import pytest
import torch
from trainer_toys import PYTHON, ToyModel, environment, train

from cognate.train import checkpoint
from cognate.train.checkpoint import CheckpointError

# A limit on the size of files is a disk that fills up in the middle of one: it comes after the first checkpoint.
FULL = """
import resource, sys, trainer_toys
def fill(record):
    if record.get("step") == 4:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    trainer_toys.train(sys.argv[1], model=trainer_toys.ToyModel(width=64), observers=[fill])
except trainer_toys.CognateError as error:
    print("SAID", error)
"""


def names(run):
    return sorted(entry.name for entry in (run / "checkpoints").iterdir())


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path):
    done = subprocess.run([PYTHON, "-c", FULL, str(tmp_path)], env=environment(), capture_output=True, text=True, timeout=60)
    said = done.stdout.rpartition("SAID ")[2].strip()

    assert done.returncode == 0, done.stderr
    good = tmp_path / "checkpoints/step-000003"
    assert said == (
        f"The checkpoint of step 4 could not be saved in {tmp_path / 'checkpoints'} (File too large (os error 27)): "
        f"make room and go on from step-000003, the newest that is intact, with --resume {good}."
    )
    assert names(tmp_path) == ["last.json", "step-000003"]
    assert checkpoint.load(good).step == 3
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 20_000


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "config.json"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_damage_is_named_with_the_way_back(tmp_path, name, damage):
    train(tmp_path, steps=6, files={"config.json": b'{"width": 8}'})
    last, before = tmp_path / "checkpoints/step-000006", tmp_path / "checkpoints/step-000004"
    content = bytearray((last / name).read_bytes())
    content[len(content) // 2] ^= 1
    (last / name).write_bytes(content if damage == "flipped" else content[: len(content) // 2])
    if damage == "gone":
        (last / name).unlink()
    with pytest.raises(CheckpointError) as caught:
        train(tmp_path, resume=tmp_path)

    said = str(caught.value)
    assert name in said
    assert said.endswith(f"go on from step-000004, the newest that is intact, with --resume {before}.")
    outcome, _ = train(tmp_path, resume=before)
    assert outcome.step == 12


def test_what_does_not_fit_says_what(tmp_path):
    train(tmp_path, steps=3)
    with pytest.raises(CheckpointError, match=r"embedding.weight is 11×8 in it and 11×16 in the model"):
        train(tmp_path, resume=tmp_path, model=ToyModel(width=16))
    with pytest.raises(CheckpointError, match=r"it lacks 0\.weight"):
        checkpoint.load(checkpoint.latest(tmp_path)).into(torch.nn.Sequential(torch.nn.Linear(2, 2)))


def test_no_checkpoint_is_said(tmp_path):
    with pytest.raises(CheckpointError, match="There is no checkpoint in"):
        checkpoint.latest(tmp_path)
    with pytest.raises(CheckpointError, match=r"is no checkpoint, it holds no state\.json"):
        checkpoint.load(tmp_path)


def test_tied_weights_are_stored_once_and_stay_tied(tmp_path):
    _, model = train(tmp_path, steps=3)
    found = checkpoint.load(checkpoint.latest(tmp_path))
    other = ToyModel(seed=9)
    found.into(other)
    assert found.tied == {"head.weight": "embedding.weight"}
    assert other.head.weight is other.embedding.weight
    assert torch.equal(other.embedding.weight, model.embedding.weight)


def test_the_last_ones_and_the_best_are_kept(tmp_path):
    outcome, _ = train(tmp_path, steps=12, keep_last=2, checkpoint_every=1, learning_rate=1.0, warmup_steps=0)
    kept = {f"step-{step:06d}" for step in (11, 12)} | {outcome.best.name}
    assert set(names(tmp_path)) == kept | {"last.json", "best.json"}
    assert json.loads((tmp_path / "checkpoints/best.json").read_text())["step"] == outcome.best_step


def test_files_of_the_caller_come_back(tmp_path):
    train(tmp_path, steps=3, files={"tokenizer.json": b"{}"})
    assert checkpoint.load(checkpoint.latest(tmp_path)).read("tokenizer.json") == b"{}"

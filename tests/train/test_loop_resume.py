"""A resumed run is the uninterrupted run, bit for bit; dropout makes the random state matter."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time

import pytest
import torch
from trainer_toys import PYTHON, ToyModel, environment, train

from cognate.errors import UsageError
from cognate.train import journal

CHANGES = "steps=400, keep_last=2"
# Imports torch once and forks a training process for each line, because a start costs seconds. It prints the process and its end.
NURSERY = f"""
import os, sys
import torch._dynamo, trainer_toys
for line in sys.stdin:
    process = os.fork()
    if not process:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        run, *resume = line.split()
        trainer_toys.train(run, resume=resume[0] if resume else None, {CHANGES})
        os._exit(0)
    print(process, flush=True)
    print(os.waitpid(process, 0)[1], flush=True)
"""
ENDLESS = "import sys, trainer_toys; trainer_toys.train(sys.argv[1], steps=10**6, checkpoint_every=0)"


def losses(run):
    return {record["step"]: record["loss"] for record in journal.read(run) if "loss" in record}


def same_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_going_on_from_a_checkpoint_is_never_having_stopped(tmp_path, optimizer):
    _, whole = train(tmp_path / "whole", optimizer=optimizer)
    outcome, resumed = train(
        tmp_path / "resumed", resume=tmp_path / "whole/checkpoints/step-000006", optimizer=optimizer, model=ToyModel(seed=5)
    )

    assert outcome.step == 12
    assert same_weights(whole, resumed)
    expected = losses(tmp_path / "whole")
    assert losses(tmp_path / "resumed") == {step: loss for step, loss in expected.items() if step > 6}


def test_the_schedule_and_the_early_stopping_go_on(tmp_path):
    train(tmp_path / "whole")
    train(tmp_path / "resumed", resume=tmp_path / "whole/checkpoints/step-000006")
    dropped = ("seconds", "tokens_per_second")
    whole, resumed = (
        [{name: value for name, value in record.items() if name not in dropped} for record in journal.read(tmp_path / run)]
        for run in ("whole", "resumed")
    )
    assert [record for record in whole if record["step"] > 6] == resumed


def test_resuming_in_place_supersedes_what_came_after(tmp_path):
    train(tmp_path)
    before = journal.read(tmp_path)
    outcome, _ = train(tmp_path, resume=tmp_path / "checkpoints/step-000006", steps=8)

    assert json.dumps({"resumed_at": 6}) in (tmp_path / journal.FILE).read_text().splitlines()
    assert max(losses(tmp_path)) == 8 and len(before) > len(journal.read(tmp_path))
    assert outcome.last.name == "step-000008"
    assert not (tmp_path / "checkpoints/step-000012").exists()


def test_a_run_that_is_done_is_resumed_without_a_step(tmp_path):
    _, model = train(tmp_path)
    outcome, again = train(tmp_path, resume=tmp_path)
    assert (outcome.reason, outcome.step) == ("finished", 12)
    assert same_weights(model, again)


@pytest.mark.parametrize("changes", [{"seed": 1}, {"effective_batch": 8}, {"optimizer": "muon"}])
def test_what_a_run_is_bound_to_cannot_change(tmp_path, changes):
    train(tmp_path, steps=3)
    with pytest.raises(UsageError, match=f"trained with {next(iter(changes))}"):
        train(tmp_path, resume=tmp_path, **changes)


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    train(tmp_path, steps=3)
    with pytest.raises(UsageError, match="holds a run already"):
        train(tmp_path)


def test_kill_9_at_random_points_changes_nothing(tmp_path):
    train(tmp_path / "whole", steps=400, keep_last=2)
    killed, draw, ends = tmp_path / "killed", random.Random(11), []
    nursery = subprocess.Popen(
        [PYTHON, "-c", NURSERY], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    for _ in range(4):
        nursery.stdin.write(f"{killed} {killed if (killed / 'checkpoints/last.json').exists() else ''}\n")
        process = int(nursery.stdout.readline())
        time.sleep(draw.uniform(0.05, 0.25))
        with contextlib.suppress(ProcessLookupError):  # a fast machine may have finished the run
            os.kill(process, signal.SIGKILL)
        ends.append(int(nursery.stdout.readline()))
    nursery.communicate(timeout=60)
    assert set(ends) <= {0, signal.SIGKILL} and signal.SIGKILL in ends
    train(killed, resume=killed if (killed / "checkpoints/last.json").exists() else None, steps=400, keep_last=2)

    assert losses(killed) == losses(tmp_path / "whole")
    assert not list((killed / "checkpoints").glob(".saving-*"))


def test_sigterm_finishes_the_step_saves_and_exits_with_0(tmp_path):
    command = [PYTHON, "-c", ENDLESS, str(tmp_path / "run")]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("step 20/"):
            break
    process.terminate()
    out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    last = json.loads((tmp_path / "run/checkpoints/last.json").read_text())
    assert last["step"] == max(losses(tmp_path / "run"))
    assert f"SIGTERM: stopped after step {last['step']} of 1000000 and saved; go on with --resume" in out
    assert "a second signal ends at once" in err

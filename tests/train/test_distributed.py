"""Two processes are one on the same global batch, and only the first of them writes."""

import subprocess

import pytest
import torch
from safetensors.torch import load_file
from trainer_toys import PYTHON, environment, train

from cognate.train import journal

PAIR = """
import os, sys, trainer_toys
rank, opened, plain = os.environ["RANK"], [], os.open
def watched(path, flags, *more, **named):
    if flags & os.O_WRONLY:
        opened.append(path)
    return plain(path, flags, *more, **named)
os.open = watched
outcome, _ = trainer_toys.train(sys.argv[1], dropout=0.0)
print(f"RANK {rank} opened {len(opened)} step {outcome.step}", flush=True)
"""


def test_two_processes_equal_one(tmp_path):
    _, model = train(tmp_path / "one", dropout=0.0)
    script = tmp_path / "pair.py"
    script.write_text(PAIR)
    command = [PYTHON, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script), str(tmp_path / "two")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr

    one, two = (journal.read(tmp_path / run) for run in ("one", "two"))
    assert len(one) == len(two)  # each record once
    for name in ("loss", "grad_norm", "val_loss", "hits", "tokens"):
        expected = [record[name] for record in one if name in record]
        assert expected and [record[name] for record in two if name in record] == pytest.approx(expected, abs=1e-5, rel=1e-5)
    weights = load_file(tmp_path / "two/checkpoints/step-000012/model.safetensors")
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, model.state_dict()[name], rtol=0, atol=1e-5)
    assert "RANK 0 opened 1 step 12" in done.stdout and "RANK 1 opened 0 step 12" in done.stdout
    assert done.stdout.count("step 1/12 |") == 1

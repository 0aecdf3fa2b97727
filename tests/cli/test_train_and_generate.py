"""`cognate train` and `cognate generate`: the real commands, on small data."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cognate.train import journal

SMALL = (
    "train", "--preset", "tiny", "--data", "arithmetic", "--limit", "300", "--sequence", "64",
    "--batch", "8", "--micro-batch", "4", "--log-every", "1", "--problems", "5",
)  # fmt: skip
UNSEEN = (*SMALL, "--no-observe")


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def losses(run: Path) -> dict[int, float]:
    return {record["step"]: record["loss"] for record in journal.read(run) if "loss" in record}


def said(done: Any) -> str:
    """The one line of an error."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("cognate:")]
    return line


def test_phase1_is_planned_as_the_seed_reports_it(cli: Any, project: Path) -> None:
    done = cli("train", "--preset", "phase1", "--data", "synthetic", "--steps", "10", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "25,623,681 parameters: embeddings 52.3%, backbone 41.6%, recursion 6.2%" in done.stdout
    assert "first loss 10.825" in done.stdout
    assert "64 rows of 32 tokens" in done.stdout
    assert not (project / "runs").exists()


def test_a_run_is_observed_judged_used_and_continued(cli: Any, project: Path) -> None:
    done = cli(*SMALL, "--steps", "4", "--case", "first")
    assert done.returncode == 0, done.stderr
    result = json.loads((project / "first" / "training.json").read_text())
    assert abs(result["loss"]["first"] - result["loss"]["expected_first"]) < 0.15
    assert result["validation"]["evaluations"] == 1
    assert result["exact_match"]["problems"] == 5
    assert 0 <= result["inference"]["flops_saved"] < 1
    assert sum(result["halting"]["histogram"]) == pytest.approx(1)
    assert result["independence"]["future_influence"] == result["independence"]["neighbour_influence"] == 0
    assert result["independence"]["own_influence"] > 0
    assert "step 4/4 | loss " in done.stdout
    assert "root cause" not in done.stderr
    assert (project / "first" / "case.json").exists()

    spoken = cli("generate", "first", "--prompt", "Ann has 12 pens.", "--limit", "6", "--json")
    answer = json.loads(spoken.stdout)
    assert answer["prompt"] == "Ann has 12 pens."
    assert 1 <= answer["tokens"] <= 6
    assert all(1 <= used <= 4 for used in answer["answers_used"])
    as_text = cli("generate", "first", "--prompt", "Ann has 12 pens.", "--limit", "6")
    assert as_text.stdout.rstrip("\n") == answer["text"].rstrip("\n")
    assert "tokens/s" in as_text.stderr
    deep = json.loads(cli("generate", "first", "--prompt", "Ann", "--limit", "3", "--threshold", "2", "--json").stdout)
    assert set(deep["answers_used"]) == {4}

    again = cli("train", "--resume", "first", "--steps", "6")
    assert again.returncode == 0, again.stderr
    assert sorted(losses(project / "first")) == [1, 2, 3, 4, 5, 6]
    assert (project / "first" / "segments" / "1" / "case.json").exists()
    assert json.loads((project / "first" / "case.json").read_text())["integrity"]["steps_seen"] == 2


def test_a_killed_run_goes_on_as_if_nothing_had_happened(cli: Any, project: Path) -> None:
    whole = cli(*UNSEEN, "--steps", "12", "--checkpoint-every", "3", "--case", "whole")
    assert whole.returncode == 0, whole.stderr
    words = (*UNSEEN, "--steps", "12", "--checkpoint-every", "3", "--case", "cut")
    command = [sys.executable, "-m", "cognate", *words]
    killed = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while not list((project / "cut").glob("checkpoints/last.json")) and killed.poll() is None:
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):  # a fast machine may have finished the run
        os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    done = cli("train", "--resume", "cut", "--no-observe")
    assert done.returncode == 0, done.stderr
    assert losses(project / "cut") == losses(project / "whole")


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_two_processes_train_what_one_does(cli: Any, project: Path, launcher: str) -> None:
    words = (*UNSEEN, "--steps", "3")
    one = cli(*words, "--case", "one")
    assert one.returncode == 0, one.stderr
    start = {
        "torchrun": ["torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port()],
        "accelerate": ["accelerate.commands.launch", "--num_processes", "2", "--cpu", "--main_process_port", free_port()],
    }[launcher]
    command = [sys.executable, "-m", *start, "-m", "cognate", *words, "--case", "two"]
    two = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300)
    assert two.returncode == 0, two.stderr
    found, expected = losses(project / "two"), losses(project / "one")
    assert found.keys() == expected.keys()
    assert all(abs(found[step] - expected[step]) < 1e-5 for step in expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--preset", "huge"), "There is no preset 'huge'"),
        (("--preset", "tiny", "--specialisation", "wise"), "There is no specialisation 'wise'"),
        (("--preset", "tiny", "--sequence", "300"), "longer than the model's 256 positions"),
        (("--preset", "tiny", "--data", "empty.jsonl"), "empty.jsonl"),
        (("--preset", "tiny", "--data", "hf:nobody/nothing"), "nobody/nothing"),
        (("--preset", "tiny", "--data", "arithmetic", "--vocabulary", "100"), "A vocabulary of 100"),
        (("--preset", "tiny", "--batch", "9", "--micro-batch", "2"), "must be a multiple"),
        (("--resume", "nowhere"), "There is no checkpoint in nowhere"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(
    cli: Any, project: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], message: str
) -> None:
    (project / "empty.jsonl").write_text("")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(project / "hub"))
    assert message in said(cli("train", *options))
    assert not list(project.glob("runs/*"))


def test_a_tokenizer_larger_than_the_model_is_one_sentence(cli: Any, project: Path) -> None:
    from tokenizers import Tokenizer, models

    words = {f"w{number}": number for number in range(600)}
    Tokenizer(models.WordLevel({**words, "<|end|>": 600}, unk_token="w0")).save(str(project / "large.json"))
    done = cli("train", "--preset", "tiny", "--data", "arithmetic", "--limit", "50", "--tokenizer", "large.json")
    assert "601 tokens and the model's vocabulary only 512" in said(done)


def test_a_damaged_checkpoint_names_the_way_back(cli: Any, project: Path) -> None:
    done = cli(*UNSEEN, "--steps", "4", "--checkpoint-every", "2", "--case", "run")
    assert done.returncode == 0, done.stderr
    weights = project / "run" / "checkpoints" / "step-000004" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    line = said(cli("train", "--resume", "run", "--no-observe"))
    assert "step-000004" in line
    assert "step-000002" in line
    assert cli("train", "--resume", "run/checkpoints/step-000002", "--no-observe").returncode == 0


def test_changed_data_is_not_resumed_silently(cli: Any, project: Path) -> None:
    rows = [json.dumps({"question": f"What is {n} plus 1?", "answer": f"#### {n + 1}"}) for n in range(200)]
    (project / "sums.jsonl").write_text("\n".join(rows))
    words = ("train", "--preset", "tiny", "--data", "sums.jsonl", "--sequence", "64", "--no-observe", "--problems", "0")
    done = cli(*words, "--batch", "4", "--steps", "2", "--case", "run")
    assert done.returncode == 0, done.stderr
    (project / "sums.jsonl").write_text("\n".join(rows[:150]))
    assert "is not what run/checkpoints/step-000002 was trained on" in said(cli("train", "--resume", "run", "--no-observe"))


def test_random_tokens_cannot_be_spoken(cli: Any, project: Path) -> None:
    words = ("train", "--preset", "tiny", "--data", "synthetic", "--no-observe")
    done = cli(*words, "--steps", "1", "--batch", "2", "--case", "run")
    assert done.returncode == 0, done.stderr
    assert "there is nothing to generate" in said(cli("generate", "run", "--prompt", "x"))

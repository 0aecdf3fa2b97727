"""The real command on small programs: what it scores, keeps, compares, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

MLP = """\
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(3)
centres = torch.randn(4, 8) * 2
y = torch.randint(0, 4, (512,))
x = centres[y] + 0.4 * torch.randn(512, 8)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(8, 32)
        self.out = nn.Linear(32, 4)

    def forward(self, x):
        return ANSWER


net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(10):
    for batch in torch.randperm(512).split(32):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch} loss {loss.item():.4f}")
"""
LOGITS = "self.out(torch.relu(self.hidden(x)))"
TRUTH = {
    "blobs": {"kind": "fixed", "style": "flat", "part": "test"},
    "blobs--softmax": {
        "kind": "faulty",
        "base": "blobs",
        "cause": "loss-softmax-twice",
        "culprit": [{"file": "train.py", "lines": [18]}],
        "part": "test",
    },
}


def write(folder: Path, files: dict[str, dict[str, str]], truth: dict[str, object]) -> None:
    for identity, texts in files.items():
        (folder / identity).mkdir(parents=True)
        for name, text in texts.items():
            (folder / identity / name).write_text(text)
    (folder / "truth.json").write_text(json.dumps(truth))


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONUTF8": "1", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "cognate", "bench", "corpus", "--out", "kept", "-j", "2", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=-1, stderr=-1, encoding="utf-8")


def bench(folder: Path, *arguments: str) -> tuple[int, str, str]:
    process = start(folder, *arguments)
    out, errors = process.communicate(timeout=170)
    return process.returncode, out, errors


@pytest.fixture(scope="module")
def blobs(tmp_path_factory) -> Path:
    """A corpus of two programs that was benched once, with its result and the measured confidence."""
    folder = tmp_path_factory.mktemp("blobs")
    softmax = f"F.softmax({LOGITS}, dim=-1)"
    files = {"blobs": {"train.py": MLP.replace("ANSWER", LOGITS)}, "blobs--softmax": {"train.py": MLP.replace("ANSWER", softmax)}}
    write(folder / "corpus", files, TRUTH)
    code, out, errors = bench(folder, "--format", "json", "-o", "base.json", "--confidence", "confidence.json")
    assert (code, out) == (0, ""), errors
    assert "blobs--softmax: loss-softmax-twice (" in errors
    return folder


def test_the_fault_is_named_on_its_line_and_its_twin_is_not_accused(blobs):
    found = json.loads((blobs / "base.json").read_text())
    figures = {
        key: (value["hits"], value["of"]) for key, value in found["all"].items() if isinstance(value, dict) and "of" in value
    }
    assert figures["first"] == figures["root"] == figures["located"] == figures["detected"] == (1, 1)
    assert figures["alarm_fixed"] == (0, 1)
    assert found["trouble"] == [] and found["all"]["cpu"]["median"] > 0
    rules = json.loads((blobs / "confidence.json").read_text())["rules"]
    assert list(rules["loss-softmax-twice"].values()) == [[1, 1]]


def test_a_second_time_nothing_runs_and_nothing_is_worse(blobs):
    code, out, errors = bench(blobs, "--check", "base.json")
    assert code == 0 and "(kept)" in errors and "base.json: 0 worse, 0 causes more, 2 programs compared" in errors
    assert "root cause first" in out


def test_a_lost_cause_fails_the_check_by_name(blobs):
    before = (blobs / "corpus" / "truth.json").read_text()
    (blobs / "corpus" / "truth.json").write_text(before.replace("loss-softmax-twice", "loss-flipped-sign"))
    try:
        code, out, errors = bench(blobs, "--quiet", "--check", "base.json")
    finally:
        (blobs / "corpus" / "truth.json").write_text(before)
    assert (code, out) == (1, "")
    assert errors == "blobs--softmax: lost the cause loss-flipped-sign; it says loss-softmax-twice\n"


def test_a_new_false_alarm_fails_the_check_by_name(blobs):
    truth = {**TRUTH, "blobs--softmax": {"kind": "healthy", "part": "test"}}
    before = (blobs / "corpus" / "truth.json").read_text()
    (blobs / "corpus" / "truth.json").write_text(json.dumps(truth))
    base = json.loads((blobs / "base.json").read_text())
    base["programs"] = [{**row, "errors": [], "warnings": []} for row in base["programs"]]
    (blobs / "empty.json").write_text(json.dumps(base))
    try:
        code, _, errors = bench(blobs, "--check", "empty.json", "--format", "markdown")
    finally:
        (blobs / "corpus" / "truth.json").write_text(before)
    assert code == 1 and "blobs--softmax: new false alarm loss-softmax-twice (error) on a healthy program" in errors


def test_a_crash_and_an_endless_program_are_shown_and_do_not_stop_the_rest(tmp_path):
    files = {
        # A module of the program called as one of Cognate's own libraries is none of Cognate's.
        "crashes": {"train.py": "raise ValueError('bad shape')\n", "typer.py": "raise SystemExit('not ours')\n"},
        "endless": {"train.py": "import time\nwhile True:\n    time.sleep(0.1)\n"},
        "quick": {"train.py": "print('done')\n"},
    }
    write(tmp_path / "corpus", files, {name: {"kind": "fixed"} for name in files})
    code, out, errors = bench(tmp_path, "--limit", "8", "--format", "json")
    found = json.loads(out)
    assert code == 0, errors
    assert {row["id"]: row["ended"] for row in found["programs"]} == {"crashes": "crashed", "endless": "timed out", "quick": "ok"}
    assert any("ValueError: bad shape" in row["ending"] for row in found["trouble"])
    assert "endless: TIMED OUT" in errors


def ended(process: int) -> bool:
    """Whether it ends within ten seconds; one that nobody has waited for yet has ended too."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        state = Path(f"/proc/{process}/stat")
        if state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


def test_ctrl_c_ends_the_programs_and_keeps_what_is_done(tmp_path):
    wait = "import os, time\nopen(os.environ['PIDS'], 'w').write(str(os.getpid()))\ntime.sleep(100)\n"
    files = {
        "a": {"train.py": "print('done')\n"},
        "waits": {"train.py": wait.replace("os.environ['PIDS']", repr(str(tmp_path / "pid")))},
    }
    write(tmp_path / "corpus", files, {name: {"kind": "fixed"} for name in files})
    process = start(tmp_path)
    until = time.monotonic() + 60
    while time.monotonic() < until and not ((tmp_path / "pid").exists() and any(tmp_path.glob("kept/observed/*/run.json"))):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted; what was observed is kept" in errors, errors
    assert ended(int((tmp_path / "pid").read_text()))
    assert len(list(tmp_path.glob("kept/observed/*/run.json"))) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--family", "ODD"], "No program of the corpus is meant by these options"),
        (["--fast"], "--fast needs programs marked fast"),
        (["--check", "none.json"], "none.json is no result of the bench"),
    ],
)
def test_wrong_use_is_one_sentence(blobs, arguments, message):
    code, out, errors = bench(blobs, *arguments)
    assert (code, out) == (2, "") and message in errors and len(errors.splitlines()) == 1

"""However a script ends, it ends as under plain Python, and leaves a case that can be read and judged."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cognate.case.case import Case
from cognate.diagnosis import diagnose
from cognate.discovery import load_skills

TRAINING = """
import torch, sys, time, os
torch.manual_seed(0)
model = torch.nn.Linear(4, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
def train(steps):
    for step in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(torch.randn(8, 4)), torch.randint(0, 3, (8,)))
        loss.backward()
        optimizer.step()
        print("loss", loss.item(), flush=True)
"""

# Endings of scripts that know nothing of torch.
ENDINGS = {
    "falls-off-the-end": "print('done')",
    "exit-code": "import sys; print('a'); sys.exit(3)",
    "exit-none": "import sys; sys.exit()",
    "exit-message": "import sys; print('a'); sys.exit('it is over')",
    "exit-300": "import sys; sys.exit(300)",
    "hard-exit": "import os, sys; print('a', flush=True); os._exit(9)",
    "exception": "def inner():\n    raise KeyError('lost')\nprint('a')\ninner()",
    "chained": "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise RuntimeError('worse') from e",
    "syntax": "print('a'\n",
    "excepthook": "import sys\nsys.excepthook = lambda t, v, b: print('mine', v)\nraise ValueError('x')",
    "atexit": "import atexit\natexit.register(print, 'last words')\nraise SystemExit(4)",
    "thread": "import threading\nthreading.Thread(target=lambda: print('from a thread')).start()",
    "interrupt": "print('a', flush=True)\nraise KeyboardInterrupt",
    "sigterm": "import os, signal\nprint('a', flush=True)\nos.kill(os.getpid(), signal.SIGTERM)",
    "sigkill": "import os, signal\nprint('a', flush=True)\nos.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.mark.parametrize("name", sorted(ENDINGS))
def test_an_ending_is_the_same(new_patient, name):
    patient = new_patient(ENDINGS[name])
    plain, observed = patient.plain(), patient.observed()
    assert observed.stdout == plain.stdout
    assert observed.stderr == plain.stderr
    code = plain.code if plain.code >= 0 else 128 - plain.code
    assert observed.code == code
    assert observed.case.info["exit"] == {
        "code": plain.code if plain.code >= 0 else None,
        "signal": signal.Signals(-plain.code).name if plain.code < 0 else None,
    }
    assert observed.case.info["integrity"]["finished"] is (name not in ("hard-exit", "sigterm", "sigkill"))
    assert diagnose(observed.case, load_skills()).status in ("inconclusive", "unhealthy")


def test_an_exception_is_recorded_with_its_place(new_patient):
    patient = new_patient(
        "import helper\nprint('a')\nhelper.fail(3)\n",
        files={"helper.py": "import json\ndef fail(n):\n    json.loads('{')\n"},
    )
    crash = patient.observed().case.info["exception"]
    assert crash["type"] == "JSONDecodeError" and crash["message"].startswith("Expecting property name")
    assert crash["site"] == {"file": "helper.py", "line": 3, "function": "fail"}
    assert crash["traceback"].startswith("Traceback") and "helper.fail(3)" in crash["traceback"]


def test_a_script_without_torch_leaves_its_lines_and_says_so(new_patient):
    run = new_patient("print('loss 0.5')\nimport sys\nprint('warn', file=sys.stderr)").observed()
    assert [(e["stream"], e["text"]) for e in run.case.events("print")] == [("stdout", "loss 0.5"), ("stderr", "warn")]
    assert run.case.info["integrity"]["errors"] == ["torch was never imported, so no training was observed"]
    assert run.case.info["exit"] == {"code": 0, "signal": None}


def test_an_exception_in_training(new_patient):
    patient = new_patient(TRAINING + "train(6)\nmodel(torch.randn(2, 5))\n")
    plain, observed = patient.plain(), patient.observed()
    assert (observed.code, observed.stdout) == (1, plain.stdout)
    # While there are hooks, torch itself calls forward through one more function: all other lines are the same.
    lines, wanted = observed.stderr.splitlines(), plain.stderr.splitlines()
    assert (lines[:3], lines[-1]) == (wanted[:3], wanted[-1]) and "cognate" not in observed.stderr
    crash = observed.case.info["exception"]
    assert crash["type"] == "RuntimeError" and "shapes cannot be multiplied" in crash["message"]
    assert crash["site"]["file"] == "train.py" and crash["site"]["function"] == "<module>"
    assert len(observed.case.metrics) == 6
    assert observed.case.info["integrity"]["finished"] is True


def started(patient) -> tuple[subprocess.Popen[str], Path, int]:
    """The observed script as the leader of a process group of its own, once it has said that it is ready, and its pid."""
    command, case = patient.command()
    process = subprocess.Popen(
        command,
        cwd=patient.folder,
        env=patient.environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    ready = next(line for line in process.stdout if line.startswith("ready"))
    return process, case, int(ready.split()[1])


@pytest.fixture(scope="module")
def endless(new_patient):
    return new_patient(TRAINING + "train(40)\nprint('ready', os.getpid(), flush=True)\ntime.sleep(60)\n")


def test_ctrl_c_reaches_the_script_as_a_keyboard_interrupt(endless):
    process, folder, _ = started(endless)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert "KeyboardInterrupt" in stderr and "cognate" not in stderr
    case = Case.open(folder)
    assert case.info["exception"]["type"] == "KeyboardInterrupt"
    assert case.info["exit"] == {"code": None, "signal": "SIGINT"}
    assert len(case.metrics) == 40


def test_sigterm_to_cognate_is_passed_on(endless):
    process, folder, _ = started(endless)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert Case.open(folder).info["exit"] == {"code": None, "signal": "SIGTERM"}


def test_a_script_killed_in_mid_training_leaves_what_it_had(new_patient):
    patient = new_patient(
        TRAINING
        + "for _ in range(40):\n    train(1)\n    time.sleep(0.03)\n"
        + "print('ready', os.getpid(), flush=True)\ntrain(10)\ntime.sleep(60)\n"
    )
    process, folder, pid = started(patient)
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL
    case = Case.open(folder)
    assert case.info["integrity"]["finished"] is False and case.info["integrity"]["errors"]
    assert case.info["exit"] == {"code": None, "signal": "SIGKILL"}
    assert 10 <= len(case.metrics) == case.info["integrity"]["steps_seen"]
    assert case.events("print") and case.model["roots"]
    assert diagnose(case, load_skills()).to_json()

"""When the recorder itself fails: one line on stderr, and the script goes on as if nothing had happened."""

from __future__ import annotations

import pytest

# Imported before the recorder, as the sitecustomize of the user's own: lets parts of Cognate raise as soon as they are loaded.
SABOTEUR = """
import os, sys
TARGETS = {}
for word in os.environ["SABOTAGE"].split():
    module, _, attribute = word.partition(":")
    TARGETS.setdefault("cognate." + module, []).append(attribute)

def broken(*args, **kwargs):
    raise RuntimeError("sabotage")

class Saboteur:
    def find_spec(self, name, path=None, target=None):
        if name not in TARGETS:
            return None
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target) if finder is not self else None
            if spec is not None:
                break
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            for attribute in TARGETS[name]:
                owner, names = module, attribute.split(".")
                for part in names[:-1]:
                    owner = getattr(owner, part)
                assert callable(getattr(owner, names[-1]))
                setattr(owner, names[-1], broken)
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Saboteur())
"""

TRAINING = """
import copy, sys
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 5)
loader = DataLoader(TensorDataset(torch.randn(48, 4), torch.randint(0, 3, (48,))), batch_size=8, shuffle=True)
for epoch in range(3):
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        scheduler.step()
        print(loss.item())
    model.eval()
    with torch.no_grad():
        print(F.cross_entropy(model(x), y).item())
    best = copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
print(torch.rand(3), sum(p.sum().item() for p in model.parameters()))
sys.exit(6)
"""

EVERY_HOOK = """
observe.live.losses:Losses._note observe.live.modules:Modules._enter observe.live.modules:Modules._exit
observe.live.modules:Modules._switched observe.live.modules:Modules.window_over observe.live.modules:Modules._describe_root
observe.live.steps:Steps._constructed observe.live.steps:Steps._zeroed observe.live.steps:Steps._backward_begins
observe.live.steps:Steps._clipped observe.live.steps:Steps._begin observe.live.steps:Steps._end observe.live.steps:Steps._settle
observe.live.identity:Identity.before_step observe.live.identity:Identity.write observe.live.data:Data._constructed
observe.live.data:Data._pass_begins observe.live.data:Data._batch observe.live.data:Data._seeded
observe.live.schedules:Schedules._constructed observe.live.schedules:Schedules._stepped observe.live.schedules:Schedules._finish
observe.live.checkpoints:Checkpoints._taken observe.live.checkpoints:Checkpoints._given
observe.live.checkpoints:Checkpoints._copied
"""

FAULTS = {
    "every hook": EVERY_HOOK,
    "facts": "observe.live.facts:describe observe.live.facts:fingerprint observe.live.facts:histogram",
    "operation trace": "observe.live.optrace:OpTrace._note observe.live.optrace:OpTrace.finish",
    "files": "observe.live.recorder:Recorder.flush",
    "windows": "observe.live.recorder:Recorder.end_window observe.probes.session:ProbeSession.window_over",
    "installing": "observe.live.install:_join",
    "serialising": "case.store:dumps",
}


@pytest.fixture(scope="module")
def training(new_patient):
    patient = new_patient(TRAINING, files={"lib/sitecustomize.py": SABOTEUR})
    return patient, patient.plain()


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_fault_in_a_hook_is_one_line_and_no_more(training, name):
    patient, plain = training
    observed = patient.observed(PYTHONPATH="lib", SABOTAGE=" ".join(FAULTS[name].split()))
    assert (observed.code, observed.stdout) == (6, plain.stdout)
    assert len(observed.complaints) == 1 and "sabotage" in observed.complaints[0]
    assert observed.stderr.splitlines() == observed.complaints
    assert observed.case.info["exit"]["code"] == 6


def test_a_fault_in_a_probe_is_its_reason(training):
    patient, plain = training
    sabotage = "observe.live.modules:depends_on_mode observe.probes.replay:Replay.copy"
    observed = patient.observed(PYTHONPATH="lib", SABOTAGE=sabotage)
    assert (observed.code, observed.stdout) == (6, plain.stdout)
    assert "it failed on this model (RuntimeError: sabotage)" in observed.case.probe_reason("determinism")


@pytest.mark.parametrize(
    "sabotage",
    [
        "observe.live.start:_listen",
        "observe.live.start:begin",
        "observe.live.ending:write_ending",
        "observe.live.ending:versions",
    ],
)
def test_a_fault_before_torch_and_at_the_end(new_patient, sabotage):
    patient = new_patient("print('on')\nraise SystemExit(4)\n", files={"lib/sitecustomize.py": SABOTEUR})
    observed = patient.observed(PYTHONPATH="lib", SABOTAGE=sabotage)
    assert (observed.code, observed.stdout) == (4, "on\n")
    assert len(observed.complaints) == 1 and observed.stderr.splitlines() == observed.complaints
    assert observed.case.info["integrity"]["finished"] is False


def test_a_case_folder_that_vanishes(new_patient):
    patient = new_patient("import shutil, sys\nshutil.rmtree(sys.argv[1])\nprint('gone')\nraise SystemExit(4)\n")
    command, case = patient.command("placeholder")
    done = patient._done([word.replace("placeholder", str(case)) for word in command], "", {})
    assert (done.returncode, done.stdout) == (4, "gone\n")
    assert all(line.startswith("cognate: ") for line in done.stderr.splitlines()) and case.name in done.stderr

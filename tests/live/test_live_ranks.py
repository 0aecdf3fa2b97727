"""Runs of several ranks: forked, spawned and launched ones record a part each, and end as they would."""

from __future__ import annotations

from pathlib import Path

import pytest

from cognate.case.case import Case
from cognate.observe.live.merge import as_launcher, launched, merge_ranks

TRAINING = """
import os, signal, sys
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

def run(rank, world, store, how):
    torch.set_num_threads(1)
    if store:
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    else:
        dist.init_process_group("gloo")
    torch.manual_seed(5 + rank)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Linear(8, 3)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(0)
    data = TensorDataset(torch.randn(48, 4, generator=generator), torch.randint(0, 3, (48,), generator=generator))
    loader = DataLoader(data, batch_size=4, sampler=DistributedSampler(data, world, rank))
    for step, (x, y) in enumerate(loader):
        if how == "killed" and rank == 1 and step == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "raises" and rank == 1 and step == 4:
            raise ValueError("on rank 1")
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    weights = sum(p.abs().sum().item() for p in model.parameters())
    with open(f"out-{rank}", "w") as file:
        print(losses, weights, torch.rand(2), "COGNATE_CASE" in os.environ, os.environ.get("PYTHONPATH"), file=file)
    dist.destroy_process_group()

losses = []
if __name__ == "__main__":
    how, method = sys.argv[1:3]
    if method == "torchrun":
        run(int(os.environ["RANK"]), 2, "", how)
    else:
        mp.start_processes(run, args=(2, os.path.abspath(sys.argv[3]), how), nprocs=2, start_method=method)
    print("done")
"""


def outputs(patient) -> list[str]:
    files = sorted(patient.folder.glob("out-*"))
    texts = [file.read_text(encoding="utf-8") for file in files]
    for file in files:
        file.unlink()
    return texts


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_ranks_of_multiprocessing_run_as_they_would_and_are_recorded(new_patient, method):
    patient = new_patient(TRAINING)
    plain = patient.plain("ends", method, "store1")
    expected = outputs(patient)
    observed = patient.observed("ends", method, "store2")
    assert (observed.code, observed.stdout, observed.stderr) == (plain.code, plain.stdout, plain.stderr)
    assert outputs(patient) == expected and len(expected) == 2
    check(observed.case)


def test_ranks_of_torchrun_are_recorded(new_patient):
    patient = new_patient(TRAINING)
    words = ["--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "train.py", "ends", "torchrun"]
    # Not as a script of its own: the launcher is a module, and what it starts is what is judged.
    observed = patient.observed(*words, module="torch.distributed.run")
    assert observed.code == 0 and len(outputs(patient)) == 2
    check(observed.case)
    assert observed.case.info["script"] == "train.py" and "train.py" in observed.case.source


def check(case: Case) -> None:
    assert case.info["ranks"] == {"recorded": [0, 1], "unfinished": [], "crashed": []}
    assert case.info["integrity"]["errors"] == [] and case.info["integrity"]["steps_seen"] == 6
    assert sorted(case.ranks) == [0, 1] and case.ranks[0] is case
    for rank, part in case.ranks.items():
        assert [row["step"] for row in part.metrics] == list(range(6)) and part.model["roots"]
        (group,) = part.events("rank", name="group")
        assert (group["rank"], group["world"]) == (rank, 2)
        (wrapper,) = part.events("rank", name="wrapper")
        assert {e["object"] for e in part.events("forward")} == {f"{wrapper['object']} DistributedDataParallel"}
    states = {rank: part.events("rank", name="state") for rank, part in case.ranks.items()}
    for mine, other in zip(states[0], states[1], strict=True):
        assert mine["step"] == other["step"]
        assert (mine["parameters"], mine["gradients"]) == (other["parameters"], other["gradients"])
        assert mine["random"] != other["random"]
    ends = [part.events("rank", name="end")[0]["parameters"] for part in case.ranks.values()]
    assert ends[0] == ends[1] != states[0][-1]["parameters"]


@pytest.mark.parametrize("how", ["killed", "raises"])
def test_a_rank_that_dies_leaves_what_it_had_seen(new_patient, how):
    patient = new_patient(TRAINING)
    observed = patient.observed(how, "fork", "store")
    assert observed.code == 1 and observed.complaints == []
    assert (
        observed.case.info["exception"]["type"] == {"killed": "ProcessExitedException", "raises": "ProcessRaisedException"}[how]
    )
    assert observed.case.info["ranks"]["recorded"] == [0, 1]
    assert observed.case.events("rank", name="group")


def test_children_that_form_no_group_are_not_recorded(new_patient):
    patient = new_patient(
        "import os, torch, torch.multiprocessing as mp\n"
        "def work(rank):\n"
        "    model = torch.nn.Linear(2, 2)\n"
        "    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "    model(torch.ones(1, 2)).sum().backward()\n"
        "    optimizer.step()\n"
        "if __name__ == '__main__':\n"
        "    for method in ('fork', 'spawn'):\n"
        "        mp.start_processes(work, nprocs=1, start_method=method)\n"
    )
    observed = patient.observed()
    assert (observed.code, observed.stderr) == (0, "")
    assert "ranks" not in observed.case.info and observed.case.ranks == {} and observed.case.metrics == []


def test_what_a_launcher_starts(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.py").touch()
    assert as_launcher(["torchrun", "--nproc-per-node", "2", "train.py"]) == (
        "torch.distributed.run",
        ["--nproc-per-node", "2", "train.py"],
    )
    assert as_launcher(["accelerate", "launch", "train.py"]) == ("accelerate.commands.launch", ["train.py"])
    assert as_launcher(["train.py"]) is None and as_launcher([]) is None
    assert launched("torch.distributed.run", ["--nproc-per-node", "2", "train.py", "--x"]) == "train.py"
    assert launched("torch.distributed.run", ["-m", "package.train"]) == "package.train"
    assert launched("torch.distributed.run", ["--help"]) is None and launched("package.train", ["a.py"]) is None
    Path("torchrun").touch()  # a script of the user's own that bears the name
    assert as_launcher(["torchrun", "train.py"]) is None


def test_parts_without_an_ending_and_junk_are_merged(tmp_path: Path):
    for rank in (0, 1):
        part = tmp_path / f"rank-{rank}"
        part.mkdir()
        (part / "events.jsonl").write_text(f'{{"kind":"rank","name":"group","rank":{rank},"n":1}}\n{{"torn')
        (part / "metrics.jsonl").write_text('{"step":0}\n{"step":1}\n')
    (tmp_path / "rank-1" / "recorder.json").write_text('{"exception": {"type": "ValueError"}}')
    (tmp_path / "rank-x").mkdir()
    (tmp_path / "events.jsonl").write_text('{"kind":"print","n":7}\n')
    info = {"integrity": {"steps_seen": 0}}
    merge_ranks(tmp_path, info)
    assert info["ranks"] == {"recorded": [0, 1], "unfinished": [0], "crashed": [1]}
    assert info["exception"]["type"] == "ValueError" and info["integrity"]["steps_seen"] == 2
    case = Case(tmp_path)
    assert [event["n"] for event in case.all_events] == [7, 8] and sorted(case.ranks) == [0, 1]
    assert not (tmp_path / "rank-0").exists()

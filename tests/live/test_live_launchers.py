"""Launched runs that end badly, and healthy ones: what the rules say of the ranks that were really recorded."""

from __future__ import annotations

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = [rule for rule in all_rules(load_skills()) if rule.family == "DIST"]
TRAINING = """
import os, signal, sys
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

class Net(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.body, self.head = nn.Linear(4, 8), nn.Linear(8, 3)
        if how == "unused":
            self.spare = nn.Linear(8, 8)

    def forward(self, x):
        return self.head(self.body(x).relu())

def run(rank, world, store, how):
    torch.set_num_threads(1)
    where = {"init_method": f"file://{store}", "rank": rank, "world_size": world} if store else {}
    dist.init_process_group("gloo", **where)
    torch.manual_seed(5 + rank)
    model = DistributedDataParallel(Net(how))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(0)
    data = TensorDataset(torch.randn(96, 4, generator=generator), torch.randint(0, 3, (96,), generator=generator))
    sampler = DistributedSampler(data, world, rank)
    loader = DataLoader(data, batch_size=4, sampler=sampler)
    step = 0
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for x, y in loader:
            if how == "killed" and rank == 1 and step == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            step += 1
    dist.destroy_process_group()

if __name__ == "__main__":
    how, world = sys.argv[1], int(sys.argv[2])
    if "RANK" in os.environ:
        run(int(os.environ["RANK"]), world, "", how)
    else:
        mp.start_processes(run, args=(world, os.path.abspath("store"), how), nprocs=world, start_method="fork")
"""


def findings(case: Case) -> dict[str, str]:
    outcomes = [run_rule(rule, case) for rule in RULES]
    assert not [outcome for outcome in outcomes if outcome.status == "crashed"]
    return {outcome.rule.name: outcome.findings[0].title for outcome in outcomes if outcome.findings}


def torchrun(patient, how: str):
    words = ["--standalone", "--nproc-per-node", "2", "train.py", how, "2"]
    return patient.observed(*words, module="torch.distributed.run", options={"probe": False})


def test_four_healthy_ranks_are_clear(new_patient):
    observed = new_patient(TRAINING).observed("ends", "4", options={"probe": False})
    assert observed.code == 0 and observed.case.info["ranks"]["recorded"] == [0, 1, 2, 3]
    assert findings(observed.case) == {}


def test_a_killed_rank_is_named(new_patient):
    observed = new_patient(TRAINING).observed("killed", "2", options={"probe": False})
    found = findings(observed.case)
    assert observed.code == 1 and list(found) == ["dist-rank-lost"]
    assert found["dist-rank-lost"].startswith("rank 1 was ended by SIGKILL")


def test_a_rank_killed_under_torchrun_leaves_a_readable_case(new_patient):
    observed = torchrun(new_patient(TRAINING), "killed")
    assert observed.code == 1 and observed.complaints == []
    assert observed.case.info["ranks"]["recorded"] == [0, 1] and 1 in observed.case.info["ranks"]["unfinished"]
    assert list(findings(observed.case)) == ["dist-rank-lost"]


def test_parameters_that_take_no_part_are_the_cause_and_their_place_is_the_loop(new_patient):
    observed = new_patient(TRAINING).observed("unused", "2", options={"probe": False})
    found = findings(observed.case)
    line = TRAINING.splitlines().index("            nn.functional.cross_entropy(model(x), y).backward()") + 1
    assert observed.code == 1 and f"raised at train.py:{line})" in found["dist-unused-params"]

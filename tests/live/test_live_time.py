"""Where time goes: waiting for batches, and compiling the same function again."""

from __future__ import annotations

SCRIPT = """
import time
import torch
from torch.utils.data import DataLoader, Dataset

class Slow(Dataset):
    def __len__(self):
        return 24
    def __getitem__(self, i):
        time.sleep(0.002)
        return torch.ones(4)

torch.manual_seed(0)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

def loss_of(x, extra):
    return model(x).square().mean() + len(extra)

for x in DataLoader(Slow(), batch_size=4):
    optimizer.zero_grad()
    loss_of(x, []).backward()
    optimizer.step()
compiled = torch.compile(loss_of, backend="eager")
for step in range(3):
    optimizer.zero_grad()
    compiled(torch.ones(4, 4), [0] * step).backward()
    optimizer.step()
"""


def test_time_spent_waiting_and_compiling_is_told(new_patient):
    run = new_patient(SCRIPT).observed()
    assert (run.code, run.complaints) == (0, [])
    rows = run.case.metrics
    assert [row["step"] for row in rows if row.get("data_time", 0.0) >= 0.008] == list(range(6))
    assert all(row["data_time"] <= row["step_time"] for row in rows[1:6])
    assert not any("data_time" in row for row in rows[7:])
    (compiled,) = run.case.events("compile", function="loss_of")
    assert compiled["count"] >= 2 and compiled["reasons"] and compiled["site"]["file"] == "train.py"

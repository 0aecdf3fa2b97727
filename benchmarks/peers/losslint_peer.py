"""losslint 0.4: `losslint check FILES --format json` on metrics files.

Where the program writes a file that it reads, that file; where it writes none, a JSONL of the step, loss, val_loss, lr and
grad_norm that Cognate's recorder saw, in the shape of the README's example. The table says how many were of either kind.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from benchmarks.peers.peer import Peer
from benchmarks.peers.verdict import Finding, Meaning, Verdict, ranked
from benchmarks.peers.workshop import NotRunError, Program, Workshop
from cognate.case.case import Case
from cognate.case.curves import loss_series, validation_series

# From the README's table of checks and the messages in losslint/checks.py.
MEANINGS = {
    "nan_inf": Meaning(names=("loss-nonfinite",), symptom=True),
    "divergence": Meaning(names=("loss-diverging",), symptom=True),
    "loss_spike": Meaning(names=("grad-spike",), guesses=("opt-lr-too-high", "data-order-artefact-spike"), symptom=True),
    "step_backtrack": Meaning(guesses=("repro-resume-loss-jump", "repro-ckpt-missing-scaler-rng-loader"), symptom=True),
    "overfit_onset": Meaning(names=("eval-overfit",), symptom=True),
    "stagnation": Meaning(names=("loss-not-decreasing",), guesses=("opt-lr-too-low",), symptom=True),
    "parse": Meaning(),
}
OWN = ("trainer_state.json", "metrics.csv", "*.jsonl", "*.csv", "events.out.tfevents*")


def judge(program: Program, workshop: Workshop) -> Verdict:
    """Files after the run."""
    case, _, cpu = workshop.recording(program)
    ran = workshop.folder / program.id / "recorded"
    files = own_files(program.folder, ran)
    folder = workshop.folder / program.id / "losslint"
    folder.mkdir(exist_ok=True)
    if not files:
        files = [folder / "metrics.jsonl"]
        files[0].write_text(recorded(Case.open(case)))
    ended = workshop.run(["-m", "losslint.cli", "check", *map(str, files), "--format", "json"], folder)
    if ended.code not in (0, 1):
        raise NotRunError((ended.output.strip().splitlines() or ["losslint failed"])[-1])
    said = json.loads(ended.output)
    findings = [Finding(one["check"], one["severity"]) for one in said["findings"]]
    note = "recorded file" if files[0].parent == folder else "own file"
    return Verdict("ok", findings=ranked(findings), cpu=cpu + ended.cpu, note=note)


def own_files(source: Path, ran: Path) -> list[Path]:
    """Metrics files that the program wrote: in the folder where it ran, and not among its sources."""
    found = {path for pattern in OWN for path in ran.rglob(pattern)}
    return sorted(path for path in found if not (source / path.relative_to(ran)).exists())


def recorded(case: Case) -> str:
    """The recorded curves as JSONL, one object a step; a value that was not finite is NaN, as json.dumps writes it."""
    rows: dict[int, dict[str, float]] = {}
    for name, curve in (("loss", loss_series(case)), ("val_loss", validation_series(case))):
        for step, value in zip(curve.steps, curve.values, strict=True) if curve else ():
            rows.setdefault(step, {})[name] = math.nan if value is None else value
    for metrics in case.metrics:
        row = rows.get(int(metrics.get("step") or 0), {})
        for name, number in (("lr", metrics.get("lr")), ("grad_norm", metrics.get("grad_norm"))):
            if number is not None:
                row[name] = number
    return "".join(json.dumps({"step": step, **rows[step]}) + "\n" for step in sorted(rows))


PEER = Peer(
    name="losslint",
    title="losslint 0.4.1",
    module="losslint",
    changes="none where a file of metrics is written, else one has to be (made from the recording)",
    references="none",
    reads="a file of metrics",
    meanings=MEANINGS,
    judge=judge,
)

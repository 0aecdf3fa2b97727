"""How far `cognate doctor` agrees with people about logs of real runs.

    python benchmarks/realruns.py FOLDER [--only ID …]

FOLDER holds `index.json`, a list of {"id", "files", "human_label", "why"}, and a folder of that id with the files of each run.
A label is named where one of its rules fires at any severity; a healthy run agrees where nothing above "info" is said. Of each
run that does not agree the curve, the findings and the reason of the label are printed. Nothing is written into FOLDER.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from cognate.case.case import Case
from cognate.case.curves import loss_curves, validation_curves
from cognate.case.series import block_medians

# What a person would accept as the name of a condition.
RULES = {
    "nan": {"loss-nonfinite", "loss-nan-hidden-by-logger", "loss-other-nonfinite"},
    "diverged": {"loss-diverging", "loss-nonfinite"},
    "overfit": {"eval-overfit"},
    "plateau": {"loss-plateau", "loss-not-decreasing", "loss-return-flat"},
    "spike-recovered": {"loss-spike"},
    "lr-problem": {"opt-lr-zero-or-dead-tail", "opt-warmup-missing-or-long", "loss-diverging", "loss-oscillating"},
    "val-constant": {"eval-validation-empty", "eval-validation-constant"},
    "too-short": {"loss-too-short"},
}
BARS = "▁▂▃▄▅▆▇█"
Finding = dict[str, Any]


def diagnosed(file: Path, case: Path) -> tuple[list[Finding] | None, str]:
    """The findings of `cognate doctor` on `file`, and its status; None and the message where it could not be read."""
    command = [sys.executable, "-m", "cognate", "doctor", str(file), "--case", str(case), "--format", "json"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode not in (0, 1):
        return None, done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
    found = json.loads(done.stdout)
    if found["crashed"]:
        return None, f"rules crashed: {[one['name'] for one in found['crashed']]}"
    return found["findings"], found["status"]


def agrees(label: str, findings: list[Finding]) -> bool:
    """Whether the findings say what the label says."""
    loud = {finding["severity"] for finding in findings}
    if label == "healthy":
        return not loud & {"error", "warning"}
    if label == "unclear":
        return "error" not in loud
    return any(finding["name"] in RULES[label] for finding in findings)


def sparkline(values: tuple[float | None, ...], width: int = 48) -> str:
    """The levels of a curve as bars."""
    levels = block_medians(values, width)
    low, high = min(levels, default=0.0), max(levels, default=0.0)
    return "".join(BARS[round((level - low) / ((high - low) or 1.0) * (len(BARS) - 1))] for level in levels)


def show(entry: dict[str, Any], findings: list[Finding], status: str, case: Path) -> None:
    """Print why a run does not agree."""
    print(f"\n{entry['id']}: labelled {entry['human_label']}, judged {status}\n  label: {entry['why']}")
    for finding in findings:
        print(f"  {finding['severity']}: {finding['name']}: {finding['title']}")
    opened = Case.open(case)
    for curve in [*loss_curves(opened)[:2], *validation_curves(opened)[:2]]:
        print(f"  {sparkline(curve.values)}  {curve.title}, {len(curve.values)} values")


def main() -> None:
    """Judge every run of the folder and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=[])
    options = parser.parse_args()
    index = json.loads((options.folder / "index.json").read_text(encoding="utf-8"))
    runs, right, errors, statuses = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as scratch:
        for entry in index:
            if options.only and entry["id"] not in options.only:
                continue
            label, case = entry["human_label"], Path(scratch) / entry["id"]
            findings, status = diagnosed(options.folder / entry["id"] / entry["files"][0], case)
            runs[label] += 1
            if findings is None:
                print(f"\n{entry['id']}: labelled {label}, NOT READ: {status}")
                continue
            statuses[status] += 1
            errors[label] += any(finding["severity"] == "error" for finding in findings)
            right[label] += agrees(label, findings)
            if not agrees(label, findings):
                show(entry, findings, status, case)
    print(f"\n{'label':16} {'runs':>5} {'agree':>6} {'with an error':>14}")
    for label in sorted(runs):
        print(f"{label:16} {runs[label]:5} {right[label]:6} {errors[label]:14}")
    named = [label for label in runs if label in RULES]
    total, found = sum(runs[label] for label in named), sum(right[label] for label in named)
    if total:
        print(f"\nconditions named: {found} of {total} ({found / total:.0%})")
    print(f"errors said of healthy runs: {errors['healthy']} of {runs['healthy']}")
    print("statuses: " + ", ".join(f"{status} {count}" for status, count in sorted(statuses.items())))


if __name__ == "__main__":
    main()

"""Writes a finding where the run is logged already: a Trackio alert, a W&B tag, an MLflow tag.

Only libraries that the script itself imported are looked at, and only where a run is active. What fails there is theirs to
say: a finding that could not be passed on stands in the case all the same.
"""

from __future__ import annotations

import sys
from typing import Any

from cognate.diagnosis.model import Diagnosed


def tell(finding: Diagnosed) -> list[str]:
    """Pass `finding` on; returns the names of the libraries that took it."""
    took = []
    for name, write in (("trackio", _trackio), ("wandb", _wandb), ("mlflow", _mlflow)):
        library = sys.modules.get(name)
        try:
            if library is not None and write(library, finding):
                took.append(name)
        except Exception:
            continue
    return took


def _trackio(trackio: Any, finding: Diagnosed) -> bool:
    level = trackio.AlertLevel.ERROR if finding.severity == "error" else trackio.AlertLevel.WARN
    trackio.alert(title=f"cognate: {finding.name}", text=finding.title, level=level)  # raises where no run is active
    return True


def _wandb(wandb: Any, finding: Diagnosed) -> bool:
    run = wandb.run
    if run is None:
        return False
    tag = f"cognate:{finding.name}"[:64]  # W&B refuses longer ones
    run.tags = tuple(dict.fromkeys((*(run.tags or ()), tag)))
    return True


def _mlflow(mlflow: Any, finding: Diagnosed) -> bool:
    if mlflow.active_run() is None:
        return False
    mlflow.set_tag(f"cognate.{finding.name}", f"{finding.severity}: {finding.title}"[:500])
    return True

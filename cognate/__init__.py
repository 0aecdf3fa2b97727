"""Cognate finds the root cause of a failing training run, proves it by experiment, and says the fix.

Importing this package costs nothing: neither torch nor the skills are loaded until a name is used.
"""

from __future__ import annotations

from cognate.version import __version__

# Not imported from typing: the recorder loads this package into processes where nothing may be imported early.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, Literal

    from cognate.diagnosis.model import Diagnosis
    from cognate.integrations.pytorch import Watch

__all__ = ["__version__", "diagnose", "watch"]


def diagnose(case: str | Path) -> Diagnosis:
    """Diagnose the case in folder `case` by the bundled skills and the settings that hold where it lies.

    The returned object is what `cognate doctor --format json` prints. Raises CognateError (`cognate.errors`) where the
    folder is not a case or the settings are invalid.
    """
    from cognate.case.case import Case
    from cognate.diagnosis.diagnose import diagnose as judge
    from cognate.discovery import load_skills
    from cognate.settings import load_settings

    settings = load_settings()
    return judge(Case.open(case), load_skills(settings.skill_folders), settings.selection)


def watch(
    model: Any,
    optimizer: Any = None,
    *,
    folder: str | Path | None = None,
    every: int = 10,
    stop_on: Literal["error"] | None = None,
) -> Watch:
    """Watch a training loop of your own: `run = cognate.watch(model, optimizer)`, then `run.log(loss=loss)` in the loop.

    The optimizer gives the count of steps and the learning rate. The case is written to `folder` (default:
    runs/SCRIPT-TIME) and judged every `every` rows; findings are logged in one line each. With `stop_on="error"`,
    `run.should_stop` says when the run is doomed. Raises UsageError where `every` or `stop_on` is no value that there is;
    nothing later raises.
    """
    from cognate.integrations.guard import Options
    from cognate.integrations.pytorch import Watch

    return Watch(model, optimizer, Options(folder, every, stop_on))

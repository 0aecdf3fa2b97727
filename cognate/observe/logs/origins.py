"""Which tool wrote a log, by the names in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cognate.observe.logs.roles import assign, named_by_hand, words

_TELLING = {"loss", "acc", "accuracy", "reward", "rewards", "rew", "perplexity", "ppl", "epoch", "epochs", "map", "return", "lr"}


def tells_of_training(names: Sequence[str]) -> bool:
    """Whether the names are those of a training log, and not of any other table of numbers."""
    if named_by_hand(names) or any(role in ("loss", "val_loss", "lr", "grad_norm", "epoch") for role in assign(names).values()):
        return True
    return any(about_training(name) for name in names)


def about_training(name: str) -> bool:
    """Whether a name has a word that only logs of training have."""
    return bool(_TELLING & set(words(name)))


def tool(names: Sequence[str], file: Path) -> str | None:
    """The tool in a few words, None where the names could be anybody's."""
    known = set(names)
    if known == {"Wall time", "Step", "Value"}:
        return "table exported by TensorBoard"
    if {"current_steps", "total_steps"} <= known:
        return "LLaMA-Factory trainer_log"
    if {"iteration", "total_loss"} <= known and {"eta_seconds", "data_time"} & known:
        return "detectron2 metrics"
    if any(name in known for name in ("train/box_loss", "val/box_loss", "metrics/accuracy_top1")):
        return "Ultralytics results"
    if "training_iteration" in known:
        return "Ray Tune"
    if known & {"time/total_timesteps", "rollout/ep_rew_mean"}:
        return "Stable-Baselines3 progress"
    if known & {"total/steps", "misc/total_timesteps", "eprewmean", "EpRewMean", "AverageEpRet", "rollout/return"}:
        return "Baselines progress"
    if {"loss_q0", "samples"} <= known or {"mse_q0", "loss"} <= known:
        return "guided-diffusion progress"
    if {"epoch", "step"} <= known and (file.name == "metrics.csv" or file.parent.name.startswith("version_")):
        return "Lightning metrics"
    if {"epoch", "loss"} <= known and "step" not in known and file.suffix == ".csv" and not any("/" in name for name in names):
        return "Keras CSVLogger"
    if "train_loss" in known and known & {"n_parameters", "train_lr"}:
        return "log of a DETR-style script"
    return None

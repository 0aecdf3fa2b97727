"""Which column of somebody's log is what: the training loss, the validation loss, the learning rate, the step.

By names alone, and where two spellings of one thing compete, by how many values each has. A loss is the *whole* loss:
the parts of a detector's, a GAN's or an agent's loss keep their own names, because each of them may rise in a healthy run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from itertools import pairwise

ROLES = ("step", "epoch", "t", "loss", "val_loss", "lr", "grad_norm")

_TRAIN = {"train", "training", "trn", "tr", "trainer"}
# The order is the order of preference: a test set is looked at last, and is a validation set where there is no other.
_VALIDATION = ("val", "valid", "validation", "vl", "eval", "evaluation", "dev", "holdout", "heldout", "test", "testing")
_FILLER = {
    *("step", "epoch", "batch", "iter", "iteration", "total", "avg", "average", "mean", "running", "global", "overall"),
    *("per", "lm", "smooth", "smoothed", "ema", "moving", "scalar", "scalars", "metric", "metrics"),
}
_SMOOTHED = {"smooth", "smoothed", "ema", "moving", "running"}
_LOSS = {"loss", "nll", "ce", "bce", "mse", "xent", "crossentropy", "cost", "objective"}
# Beside a loss they make it a setting, a record or a statistic of it.
_NOT_A_LOSS = {
    *("scale", "scaler", "scaling", "weight", "weights", "coef", "coeff", "coefficient", "lambda", "ratio", "std", "var"),
    *("min", "max", "best", "lowest", "highest", "delta", "diff", "gap", "target", "threshold", "initial", "count", "num"),
    *("time", "lr", "patience", "improvement", "grad", "norm", "acc", "accuracy", "config", "percent", "ppl", "perplexity"),
}
_AGENT = {"critic", "actor", "policy", "vf", "qf", "qf1", "qf2", "td", "explained", "advantage", "ppo", "dqn", "sac"}
_RETURNS = {"rew", "ret", "reward", "rewards", "return", "returns", "rollout", "rollouts"}
_ADVERSARY = {"disc", "discriminator", "gen", "generator", "adversarial", "adv", "gan", "critic"}
# Never the whole loss, even where it is the only one that the log has.
_PART = {
    *_AGENT,
    *_ADVERSARY,
    *("aux", "auxiliary", "reg", "regularization", "regularisation", "kl", "kld", "l1", "l2", "penalty", "commitment"),
    *("box", "bbox", "cls", "obj", "dfl", "seg", "iou", "giou", "rpn", "mask"),
    *("entropy", "balance", "z", "router", "moe", "value", "alpha", "ent", "d", "g", "q"),
}
# Words joined by "_" once words for training are gone; the first that a log has is its counter.
_STEP = (
    *("global_step", "step", "current_step", "current_steps", "total_timesteps", "timesteps_total", "num_env_steps_sampled"),
    *("steps", "global_steps", "num_steps", "n_steps", "step_num", "total_steps", "timesteps", "env_steps", "num_timesteps"),
    *("iteration", "iterations", "iter", "iters", "iter_num", "itr", "it", "num_iterations", "num_updates", "update"),
    *(
        "total_env_steps",
        "total_env_interacts",
        "updates",
        "optimizer_step",
        "optim_step",
        "batch_step",
        "global_batch",
        "batch",
        "batch_idx",
    ),
)
_EPOCH = ("epoch", "current_epoch", "epochs", "epoch_num", "epoch_idx", "epoch_id", "num_epoch", "n_epoch", "total_epochs", "ep")
_TIME = (
    *("time_elapsed", "elapsed_time", "elapsed", "elapsed_s", "elapsed_sec", "elapsed_seconds", "runtime", "wall_time"),
    *("walltime", "wall", "time_total_s", "relative_time", "total_duration", "duration_total", "total_time", "time"),
    *("seconds", "timestamp", "time_s", "time_sec", "time_seconds"),
)
_RATE_SETTINGS = {
    *("momentum", "weight", "decay", "scale", "mult", "multiplier", "min", "max", "base", "initial", "init", "peak"),
    *("config", "ratio", "warmup", "factor", "loss", "hparams", "args", "target", "beta", "beta1", "beta2"),
}
_NORM_FILLER = _FILLER | _TRAIN | {"l2", "gradient", "gradients", "grad", "grads", "norm", "gnorm", "gradnorm", "2", "0"}

_given: ContextVar[Mapping[str, str] | None] = ContextVar("_given", default=None)


@contextmanager
def given(columns: Mapping[str, str]) -> Iterator[None]:
    """Within this context `assign` gives each role in `columns` (role: the log's name) to that name, where it exists."""
    token = _given.set(columns)
    try:
        yield
    finally:
        _given.reset(token)


def named_by_hand(names: Sequence[str]) -> bool:
    """Whether one of `names` was given a role by hand."""
    return bool(set((_given.get() or {}).values()) & {name.strip() for name in names})


def assign(names: Sequence[str], counts: Mapping[str, int] | None = None) -> dict[str, str]:
    """The role of each column or tag in `names`, in their order: one of ROLES or "user.NAME"; no role is given twice.

    `counts` says how many values each has. It decides between `train_loss_step` and `train_loss_epoch`, and between a
    loss and the one line at the end that repeats its mean.
    """
    chosen: dict[str, str] = {}  # role: name
    by_hand = {role: name.strip() for role, name in (_given.get() or {}).items()}
    for role, wanted in by_hand.items():
        found = next((name for name in names if name.strip() == wanted), None)
        if found is not None:
            chosen[role] = found
    free = [name for name in dict.fromkeys(names) if name not in chosen.values()]
    sizes = counts or {}
    for role, detected in (
        ("step", _counter(free, _STEP)),
        ("epoch", _counter(free, _EPOCH)),
        ("t", _counter(free, _TIME)),
        ("lr", _best(free, _rate_rank, sizes)),
        ("grad_norm", _best(free, _norm_rank, sizes)),
    ):
        if detected is not None:
            chosen.setdefault(role, detected)
    loss, val_loss = _losses([name for name in free if name not in chosen.values()], sizes, chosen)
    for role, detected in (("loss", loss), ("val_loss", val_loss)):
        if detected is not None:
            chosen.setdefault(role, detected)
    roles = {name: role for role, name in chosen.items()}
    return {name: roles.get(name, f"user.{name}") for name in names}


def is_validation(name: str) -> bool:
    """Whether the name says that the value was measured on data that is not trained on: "val/loss", "Loss_test"."""
    return _split(words(name)) not in ("", "train")


def nature(names: Sequence[str]) -> str:
    """ "reinforcement" or "adversarial" where the names say so, else "": in both, losses may rise in a healthy run."""
    every = [set(words(name)) for name in names]
    agent = any(one & _AGENT and not one & {"disc", "discriminator", "gen", "generator"} for one in every)
    # A language model trained by a reward has a policy and a KL as well; what it has not is an episode.
    if any(one & _RETURNS for one in every) and (agent or any(one & {"ep", "episode", "episodes"} for one in every)):
        return "reinforcement"
    losses = [one for one in every if "loss" in one]
    made = any(one & {"gen", "generator", "g"} for one in losses)
    told = any(one & {"disc", "discriminator", "d", "critic"} for one in losses)
    return "adversarial" if made and told else ""


@lru_cache(maxsize=8192)
def words(name: str) -> tuple[str, ...]:
    """The words of a name, lower case: "trainLoss", "Train Loss" and " train/loss" are all ("train", "loss")."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", " ", name.strip()[:200])
    plain = [word for word in re.split(r"[^a-z0-9]+", apart.lower()) if word]
    return tuple("loss" if word == "losses" else word for word in plain)


def _split(parts: Sequence[str]) -> str:
    """The set that the words tell of: "train", one of _VALIDATION, or "" where they tell none. The first word decides."""
    for index, word in enumerate(parts):
        if word in _TRAIN:
            return "train"
        # "std_dev" is no development set, "valid_tokens" no validation.
        if word in _VALIDATION and not (word == "dev" and index and parts[index - 1] in ("std", "standard")):
            return "" if word == "valid" and "tokens" in parts else word
    return ""


def _counter(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The first of `wanted` that a name equals, whatever stands before its last "/" as a heading."""
    spelled: dict[str, str] = {}
    for name in names:
        for text in (name, name.rpartition("/")[2]):
            parts = [word for word in words(text) if word not in _TRAIN]
            if _split(words(name)) in ("", "train") and "config" not in words(name):
                spelled.setdefault("_".join(parts), name)
    return next((spelled[word] for word in wanted if word in spelled), None)


_Rank = tuple[float, ...]


def _best(names: Sequence[str], rank: Callable[[str], _Rank | None], counts: Mapping[str, int]) -> str | None:
    """The name of lowest rank; one that has less than half of another's values comes after it, whatever its rank."""
    ranked = [(rank(name), name) for name in names]
    known = [(place, name) for place, name in ranked if place is not None]
    most = max((counts.get(name, 0) for _, name in known), default=0)
    ordered = [(counts.get(name, 0) * 2 < most, place, index, name) for index, (place, name) in enumerate(known)]
    return min(ordered)[-1] if ordered else None


def _rate_rank(name: str) -> _Rank | None:
    parts = words(name)
    plain = [re.sub(r"^lr\d+$", "lr", word) for word in parts]
    if "lr" not in plain and not any(pair == ("learning", "rate") for pair in pairwise(plain)):
        return None
    if set(plain) & (_RATE_SETTINGS | _PART) or _split(parts) not in ("", "train"):
        return None
    # The first parameter group stands for the run.
    group = re.search(r"(\d+)\D*$", name)
    rest = [word for word in plain if word not in _TRAIN | {"lr", "learning", "rate"}]
    return len(rest), float(group[1][:6]) if group else -1.0


def _norm_rank(name: str) -> _Rank | None:
    parts = words(name)
    gradient = {"grad", "grads", "gradient", "gradients"} & set(parts) and "norm" in parts
    if not gradient and not {"gnorm", "gradnorm"} & set(parts):
        return None
    if any(word not in _NORM_FILLER for word in parts) or _split(parts) not in ("", "train"):
        return None
    return float("total" not in parts and "global" not in parts), float(len(parts))


def _losses(names: Sequence[str], counts: Mapping[str, int], taken: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The whole training and validation loss; without a whole one, the only loss there is."""
    sides: list[dict[frozenset[str], list[str]]] = [{}, {}]
    for name in names:
        about = _about(words(name))
        if about is not None:
            sides[is_validation(name)].setdefault(about, []).append(name)
    train, val = sides
    kind = frozenset({"loss"}) if "loss" not in taken else _about(words(taken["loss"])) or frozenset({"loss"})
    if "loss" not in taken and kind not in train:
        whole = [about for about in train if not about & _PART]
        # One loss with company on its own side is a part; alone it is all there is.
        kind = whole[0] if len(whole) == 1 == len(train) else frozenset()
    loss = _best(train.get(kind, ()), _train_rank, counts)
    if kind not in val and not (train or "loss" in taken):
        whole = [about for about in val if not about & _PART]
        kind = whole[0] if len(whole) == 1 == len(val) else frozenset()
    if frozenset({"loss"}) in val:
        kind = frozenset({"loss"})
    return loss, _best(val.get(kind, ()), _val_rank, counts)


def _about(parts: tuple[str, ...]) -> frozenset[str] | None:
    """What a loss is of, without the words that only say of which set or how often; None where it is no loss."""
    cross = any(pair == ("cross", "entropy") for pair in pairwise(parts))
    if not (set(parts) & _LOSS or cross) or set(parts) & _NOT_A_LOSS:
        return None
    plain = [word for word in parts if word not in _TRAIN and word not in _VALIDATION and word not in _FILLER]
    if cross:
        plain = [word for word in plain if word not in ("cross", "entropy")] + ["crossentropy"]
    if "idx" in plain:  # Lightning numbers several loaders: val_loss/dataloader_idx_0
        plain = plain[: plain.index("idx")]
        plain = [word for word in plain if word != "dataloader"]
    return frozenset(plain) or frozenset({"loss"})


def _train_rank(name: str) -> _Rank:
    parts = words(name)
    smoothed = float(bool(_SMOOTHED & set(parts)))
    return smoothed, float("total" not in parts), float("epoch" in parts), float(len(parts)), float("train" not in parts)


def _val_rank(name: str) -> _Rank:
    parts = words(name)
    smoothed = float(bool(_SMOOTHED & set(parts)))
    return float(_VALIDATION.index(_split(parts))), smoothed, float("step" in parts), float(len(parts))

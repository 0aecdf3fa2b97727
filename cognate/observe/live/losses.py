"""Loss calls: what went in, what kind of numbers it was, and what weight the result had in what was differentiated."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cognate.observe.live import facts, target_kinds
from cognate.observe.live.patch import wrap
from cognate.observe.live.recorder import Recorder, guarded, timed
from cognate.observe.live.targets import audit

# torch.nn.functional losses with (input, target, …); nn.*Loss modules call these by attribute, so all are seen.
PAIRED = [
    "cross_entropy",
    "nll_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "kl_div",
    "poisson_nll_loss",
    "gaussian_nll_loss",
    "soft_margin_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "hinge_embedding_loss",
]
# Losses over other arguments: counted, located and weighted, not looked into.
OTHER = ["triplet_margin_loss", "margin_ranking_loss", "cosine_embedding_loss", "ctc_loss"]
# In evaluation (no gradient) the first calls of each phase are looked at closely, whatever the window.
CLOSE_EVAL_CALLS = 8


@dataclass
class KeptLoss:
    """A loss call of the open window with its tensors, for the probes."""

    row: dict[str, Any]
    name: str
    scores: Tensor
    target: Tensor
    options: dict[str, Any]


class Losses:
    """Wraps the losses; keeps the last close call's tensors for the probes until the window ends."""

    def __init__(
        self,
        recorder: Recorder,
        inputs: Callable[[], list[Tensor]],
        training: Callable[[], bool | None],
        inside_model: Callable[[], bool],
    ) -> None:
        self.recorder = recorder
        self.inside_model = inside_model  # whether a root forward is under way
        self.model_inputs = inputs  # tensors that went into the latest root forward
        self.training = training  # mode of the latest root forward
        self.given: Callable[[], list[Tensor]] = list  # all tensors that went into it, also floats
        self.kept: list[KeptLoss] = []
        self.on_call: Callable[[bool], None] = lambda grad: None
        self.on_evaluation: Callable[..., None] = lambda name, target, result, ignore, inside: None
        self.eval_calls = 0
        self.inside = False
        self.capture: list[tuple[str, tuple[Any, ...], dict[str, Any], Tensor]] | None = None

    def install(self) -> None:
        """Wrap every loss function of torch.nn.functional."""
        for name in (*PAIRED, *OTHER):
            wrap(torch.nn.functional, name, lambda original, name=name: self._observed(name, original))  # type: ignore[misc]

    def window_over(self) -> None:
        """Forget the tensors of the window."""
        self.kept.clear()
        self.eval_calls = 0

    def _observed(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        note = guarded(self.recorder, f"loss call {name}")(timed(self.recorder)(self._note))
        note = functools.partial(note, original)

        def loss(*args: Any, **kwargs: Any) -> Any:
            # Compiled code must see the plain function; a loss within a loss (or under a function mode) counts once.
            if torch.compiler.is_compiling() or self.inside:
                return original(*args, **kwargs)
            self.inside = True
            try:
                result = original(*args, **kwargs)
                if isinstance(result, Tensor):
                    if self.capture is not None:
                        self.capture.append((name, args, kwargs, result))
                    else:
                        note(name, args, kwargs, result)
            finally:
                self.inside = False
            return result

        return loss

    def _note(
        self, original: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor
    ) -> None:
        recorder = self.recorder
        grad = result.requires_grad
        recorder.counts[f"loss:{name}:{'train' if grad else 'eval'}"] += 1
        self.on_call(grad)
        if not grad:
            self.eval_calls += 1
            if name in PAIRED:
                target = args[1] if len(args) > 1 else kwargs.get("target")
                self.on_evaluation(name, target, result, kwargs.get("ignore_index", -100), self.inside_model())
        if not (recorder.close if grad else self.eval_calls <= CLOSE_EVAL_CALLS):
            return
        row = recorder.event("loss_call", recorder.sites.here(4), fn=name, grad=grad, training=self.training())
        row["in_forward"] = self.inside_model()
        row["reduction"] = kwargs.get("reduction", "mean")
        for option in ("ignore_index", "label_smoothing", "beta", "delta", "log_target"):
            if option in kwargs:
                row[option] = kwargs[option]
        row["weighted"] = kwargs.get("weight") is not None or kwargs.get("pos_weight") is not None
        row["value"] = float(facts.wide(result.detach()).mean())
        row["result_shape"] = list(result.shape)
        if grad and result.dtype in (torch.float16, torch.bfloat16):
            row["result_dtype"] = str(result.dtype).removeprefix("torch.")
            row["value_float32"] = _in_float32(original, args, kwargs)
        scores = args[0] if args else kwargs.get("input")
        target = args[1] if len(args) > 1 else kwargs.get("target")
        if name in PAIRED and isinstance(scores, Tensor) and isinstance(target, Tensor):
            self._look(row, name, scores, target)
            if grad:
                options = {key: value for key, value in kwargs.items() if key not in ("input", "target")}
                self.kept.append(KeptLoss(row, name, scores, target, options))
        elif name == "ctc_loss" and isinstance(scores, Tensor) and scores.dim():
            row["input"] = facts.describe(scores) | {"kind": facts.rows_kind(scores, scores.dim() - 1)}
        if grad:
            weighted = target if row["reduction"] == "none" and "audit" in row.get("target", {}) else None
            self._weigh(row, result, weighted)

    def _look(self, row: dict[str, Any], name: str, scores: Tensor, target: Tensor) -> None:
        row["input"] = facts.describe(scores)
        row["target"] = facts.describe(target)
        row["input_requires_grad"] = scores.requires_grad
        if scores.is_floating_point() and name in ("cross_entropy", "nll_loss") and scores.dim():
            row["input"]["kind"] = facts.rows_kind(scores, 1 if scores.dim() > 1 else 0)
            row["classes"] = scores.shape[1 if scores.dim() > 1 else 0]
            spread = scores.detach().float().std(dim=0).mean() if scores.shape[0] > 1 else torch.tensor(0.0)
            row["input"]["spread_over_rows"] = float(spread)
        if not target.is_floating_point() and target.dtype is not torch.bool:
            row["target"]["histogram"] = facts.histogram(target)
            ignore = row.get("ignore_index", -100)
            row["target"]["ignored"] = float((target == ignore).float().mean()) if target.numel() else 0.0
            tokens = self._token_inputs(target)
            row["target"]["offsets"] = self._offsets(target, tokens)
            self._audit(row["target"], target, tokens, ignore)
            padding = self._padding(target, tokens, ignore)
            if padding:
                row["target"]["padding"] = padding
            audited = audit(target, self.model_inputs(), ignore) if name in ("cross_entropy", "nll_loss") else None
            if audited:
                row["target"]["audit"] = audited
        elif target.is_floating_point() and target.numel():
            values = facts.sample(target, 4096)
            row["target"]["distinct"] = int(torch.unique(values).numel())
            if target.dim() == 2 and name == "cross_entropy":
                row["target"]["kind"] = facts.rows_kind(target, 1)
            row["target"].update(target_kinds.classes(target))
            if name == "kl_div" and scores.dim() == target.dim() >= 1:
                row["input"]["kind"] = facts.rows_kind(scores, scores.dim() - 1)
                row["target"]["kind"] = facts.rows_kind(target, target.dim() - 1)

    def _audit(self, row: dict[str, Any], target: Tensor, inputs: list[tuple[int, Tensor]], ignore: int) -> None:
        row.update(target_kinds.audit(target, self.given(), ignore))
        for index, tokens in inputs:
            crossing = target_kinds.crossing(target, tokens)
            if crossing:
                row["crossing"] = crossing | {"input": index}

    def _offsets(self, target: Tensor, inputs: list[tuple[int, Tensor]]) -> dict[str, dict[str, float]]:
        """Share of target positions equal to the model's own input at position +k, for each integer input (batch, time).

        Only where a target row can be laid over an input row of the same or one shorter length.
        """
        found: dict[str, dict[str, float]] = {}
        for index, tokens in inputs:
            batch, time = tokens.shape
            for length in (time, time - 1):
                if target.numel() == batch * length:
                    rows = target.detach().reshape(batch, length)
                    break
            else:
                continue
            shares = {}
            for offset in range(-1, 4):
                begin, end = max(0, -offset), min(length, time - offset)
                left, right = rows[:, begin:end], tokens[:, begin + offset : end + offset]
                keep = left >= 0
                if int(keep.sum()) >= batch:
                    shares[str(offset)] = round(float((left == right)[keep].float().mean()), 4)
            found[str(index)] = shares
        return found

    def _token_inputs(self, target: Tensor) -> list[tuple[int, Tensor]]:
        """Integer inputs (batch, time) by index, without the labels that were handed to the model beside its tokens."""
        found = [
            (index, tokens)
            for index, tokens in enumerate(self.model_inputs())
            if tokens.dim() == 2 and not tokens.is_floating_point() and tokens.shape[1] >= 4
        ]
        others = [pair for pair in found if not facts.same_values(pair[1], target)]
        return others or found

    def _padding(self, target: Tensor, inputs: list[tuple[int, Tensor]], ignore: int) -> dict[str, Any] | None:
        """The padding id of the model's input, and how much of the target that counts lies on padded positions.

        Padding shows as rows that end in runs of one and the same id, of different lengths.
        """
        for _, tokens in inputs:
            if facts.same_values(tokens, target):
                continue
            last = tokens[:, -1]
            pad = int(last.mode().values)
            runs = (tokens.flip(1) == pad).long().cumprod(1).sum(1)
            lengths = set(runs.tolist())
            if int((runs >= 2).sum()) < 0.25 * len(runs) or len(lengths - {0}) < 2:
                continue
            batch, time = tokens.shape
            for length in (time, time - 1):
                if target.numel() == batch * length:
                    rows = target.detach().reshape(batch, length)
                    position = torch.arange(length, device=rows.device)[None] + (time - length)
                    padded = position >= (time - runs)[:, None]
                    counted = rows != ignore
                    share = float((padded & counted).sum() / counted.sum().clamp_min(1))
                    there = rows[padded]
                    value = int(there.mode().values) if there.numel() else pad
                    same = float((there == value).float().mean()) if there.numel() else 0.0
                    real = rows[~padded]
                    return {
                        "id": pad,
                        "share_of_counted": share,
                        "target": value,
                        "constant": same,
                        "ignored_real": float((real == ignore).float().mean()) if real.numel() else 0.0,
                        "padded": float(padded.float().mean()),
                    }
        return None

    def _weigh(self, row: dict[str, Any], result: Tensor, target: Tensor | None = None) -> None:
        """Read off, when backward reaches it, the coefficient of this loss in what is finally differentiated.

        `target` is given where the loss was not reduced: which of its tokens the script scores shows in the coefficients alone.
        """
        recorder, step = self.recorder, self.recorder.step
        inputs = self.model_inputs() if target is not None else []

        def read(gradient: Tensor) -> None:
            if recorder.alive and recorder.step == step:
                # For an unreduced loss the coefficients of its elements are summed: 1.0 is a mean's.
                value = float(facts.wide(gradient.detach()).sum())
                row["coefficient"] = value if math.isfinite(value) else None
                row["backwards"] = row.get("backwards", 0) + 1
                if target is not None and gradient.numel() == target.numel():
                    ignore = row.get("ignore_index", -100)
                    left_out = gradient.detach().reshape(target.shape) == 0
                    row["target"]["audit"] = audit(target.masked_fill(left_out, ignore), inputs, ignore)

        result.register_hook(guarded(recorder, "coefficient")(read))


def _in_float32(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """The same loss of the same numbers, computed in single precision."""

    def widened(value: Any) -> Any:
        return value.detach().float() if isinstance(value, Tensor) and value.is_floating_point() else value

    with torch.no_grad():
        again = original(*map(widened, args), **{key: widened(value) for key, value in kwargs.items()})
    return float(again.double().mean()) if isinstance(again, Tensor) else math.nan

"""Where the first number that is not finite came from: read once, off the graph that backward is about to walk.

At that moment the weights are still as they were, and autograd holds what each operation took or gave. The operations are gone
through in the order in which they ran; the first one that made a non-finite result of finite numbers, or that was given what it
cannot take (a logarithm of zero), is the place.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cognate.observe.live import facts
from cognate.observe.live.patch import before_and_after, wrap
from cognate.observe.live.recorder import Recorder, guarded

MOST_NODES = 5000
MOST_SECONDS = 1.0
# Onsets of each phase that are written down: a scaled loss may overflow once or twice and mean nothing.
MOST_ONSETS = 3
RESULTS = ("_saved_result", "_saved_output", "_saved_result0", "_saved_result1")

# What an operation cannot take: the saved tensor, and which of its elements make the value or the gradient non-finite.
BROKEN: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "Log": ("_saved_self", lambda t: t <= 0),
    "Log2": ("_saved_self", lambda t: t <= 0),
    "Log10": ("_saved_self", lambda t: t <= 0),
    "Log1P": ("_saved_self", lambda t: t <= -1),
    "Div": ("_saved_other", lambda t: t == 0),
    "Reciprocal": ("_saved_result", lambda t: ~t.isfinite()),
    "Rsqrt": ("_saved_result", lambda t: ~t.isfinite()),
    "Exp": ("_saved_result", lambda t: ~t.isfinite()),
    "Acos": ("_saved_self", lambda t: t.abs() > 1),
    "Asin": ("_saved_self", lambda t: t.abs() > 1),
    "Sqrt": ("_saved_result", lambda t: ~t.isfinite()),
    "BinaryCrossEntropy": ("_saved_self", lambda t: (t < 0) | (t > 1)),
}
# The value is finite and its derivative is not.
STEEP: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "Sqrt": ("_saved_result", lambda t: t == 0),
    "Acos": ("_saved_self", lambda t: t.abs() == 1),
    "Asin": ("_saved_self", lambda t: t.abs() == 1),
    "Atanh": ("_saved_self", lambda t: t.abs() >= 1),
    "Log": ("_saved_self", lambda t: (t > 0) & (t < 1e-38)),
}
# Operations that can make a non-finite result of finite numbers; others only hand on what they were given.
CREATORS = {"softmax", "log_softmax", "logsumexp", "prod", "cumprod", "linalg_vector_norm", "norm", "sinh", "cosh", "expm1"}


class Onset:
    """Asks each backward on the CPU, elsewhere that of close windows, whether its root is finite."""

    def __init__(self, recorder: Recorder, names: Callable[[], dict[int, str]]) -> None:
        self.recorder = recorder
        self.names = names  # every parameter's name by id
        self.told: Counter[str] = Counter()
        self.hooked = False
        self.broken_at = -1  # the step at which the forward was not finite: gradients then follow from it
        self.steep: dict[str, Any] | None = None

    def install(self) -> None:
        """Learn whether saved tensors have hooks: then reading them would run the script's (or a checkpoint's) code."""

        def entered(*args: Any) -> None:
            self.hooked = True

        wrap(
            torch.autograd.graph.saved_tensors_hooks,
            "__enter__",
            before_and_after(before=guarded(self.recorder, "onset")(entered)),
        )

    def backward(self, root: Tensor) -> bool:
        """Look at what backward begins with; whether it is finite (or cannot be told)."""
        self.steep = None
        if self.told["forward"] >= MOST_ONSETS or root.grad_fn is None or not (self.recorder.close or root.device.type == "cpu"):
            return True
        value = float(root.detach().sum())
        if value - value == 0:
            if self.recorder.close and not self.hooked:
                self.steep = _steep(root)
            return True
        self.told["forward"] += 1
        self.broken_at = self.recorder.step
        found = {"walked": False} if self.hooked else _walk(root, self.names())
        value = float(root.detach().float().mean())
        self.recorder.event(
            "onset", self.recorder.sites.here(5), phase="forward", value="nan" if value != value else str(value), **found
        )
        return False

    def gradients(self, norms: Tensor, names: list[str]) -> None:
        """The gradients before a step, in close windows; called where one of them is not finite."""
        if self.told["backward"] >= MOST_ONSETS or self.broken_at == self.recorder.step:
            return
        self.told["backward"] += 1
        wrong = [name for name, norm in zip(names, norms.tolist(), strict=True) if norm - norm != 0]
        found = self.steep or {}
        self.recorder.event("onset", None, phase="backward", tensors=len(names), nonfinite=len(wrong), names=wrong[:8], **found)


def _nodes(root: Tensor) -> list[Any]:
    """The graph's nodes in the order in which their operations ran."""
    waiting: list[Any] = [root.grad_fn]
    seen: set[Any] = set()
    while waiting and len(seen) < MOST_NODES:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        waiting.extend(following for following, _ in node.next_functions)
    return sorted(seen, key=lambda node: node._sequence_nr())


def _word(node: Any) -> str:
    return re.sub(r"Backward\d*$", "", type(node).__name__)


def operation(word: str) -> str:
    """torch's name of the operation behind an autograd node: log_softmax for LogSoftmax."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word).lower()


def _steep(root: Tensor) -> dict[str, Any] | None:
    """The first operation whose value is finite and whose derivative is not."""
    counts: Counter[str] = Counter()
    for node in _nodes(root):
        word = _word(node)
        counts[word] += 1
        bad = _share(node, *STEEP[word]) if word in STEEP else _steep_power(node) if word == "Pow" else 0.0
        if bad:
            return {"op": operation(word), "nth": counts[word], "share": bad, "born": "here"}
    return None


def _steep_power(node: Any) -> float:
    """x to a power below one has no derivative at zero."""
    exponent = getattr(node, "_saved_exponent", None)
    below = isinstance(exponent, (int, float)) and 0 < exponent < 1
    return _share(node, "_saved_self", lambda t: t == 0) if below else 0.0


def _walk(root: Tensor, names: dict[int, str]) -> dict[str, Any]:
    begun = time.perf_counter()
    nodes = _nodes(root)
    found: dict[str, Any] = {"walked": True, "nodes": len(nodes)}
    leaves = [node.variable for node in nodes if hasattr(node, "variable")]
    wrong = [leaf for leaf in leaves if not bool(torch.isfinite(leaf.detach().sum()))]
    found["weights"], found["nonfinite_weights"] = len(leaves), [names.get(id(leaf), "?") for leaf in wrong][:8]
    counts: Counter[str] = Counter()
    for node in nodes:
        word = _word(node)
        counts[word] += 1
        judged = _judge(node, word)
        if judged is not None:
            found.update({"op": operation(word), "nth": counts[word], **judged})
            break
        if time.perf_counter() - begun > MOST_SECONDS:
            found["gave_up"] = True
            break
    return found


def _judge(node: Any, word: str) -> dict[str, Any] | None:
    """What is wrong at one operation, or None: `born` says whether it made the first non-finite number itself."""
    saved = _saved(node)
    for name, tensor in saved.items():
        if name in RESULTS or not _wrong(tensor):
            continue
        # What needs no gradient was given from outside; what does was made by the operation before.
        born = "before" if tensor.requires_grad else "given"
        if tensor.requires_grad or bool(tensor.isnan().any()):
            before = [operation(_word(following)) for following, _ in node.next_functions if following is not None]
            return {"born": born, "argument": name.removeprefix("_saved_"), "before": before[:3], **_facts(tensor)}
    if word in BROKEN:
        bad = _share(node, *BROKEN[word])
        if bad:
            tensor = saved.get(BROKEN[word][0])
            return {"born": "here", "share": bad, **(_facts(tensor) if tensor is not None else {})}
    for name in RESULTS:
        tensor = saved.get(name)
        # Masked entries of a log_softmax are -inf on purpose; NaN never is.
        if tensor is not None and _wrong(tensor) and ("oftmax" not in word or bool(tensor.isnan().any())):
            name = operation(word)
            born = "here" if name in CREATORS or name.startswith("scaled_dot_product") else "before"
            rows = tensor.isnan().all(-1).float().mean() if tensor.dim() else tensor.isnan().float()
            return {"born": born, "nan_rows": round(float(rows), 6), **_facts(tensor)}
    return None


def _saved(node: Any) -> dict[str, Tensor]:
    found = {}
    for name in dir(node):
        if name.startswith("_saved_"):
            try:
                value = getattr(node, name)
            except RuntimeError:  # freed, or changed in place since
                continue
            if isinstance(value, Tensor) and value.is_floating_point() and facts.readable(value) and value.numel():
                found[name] = value.detach().requires_grad_(value.requires_grad)
    return found


def _wrong(tensor: Tensor) -> bool:
    return not bool(torch.isfinite(tensor.detach()).all())


def _share(node: Any, name: str, bad: Callable[[Tensor], Tensor]) -> float:
    try:
        value = getattr(node, name, None)
    except RuntimeError:
        return 0.0
    if not isinstance(value, Tensor) or not value.numel() or value.is_complex():
        return 0.0
    return round(float(bad(value.detach()).float().mean()), 6)


def _facts(tensor: Tensor) -> dict[str, Any]:
    described = facts.describe(tensor)
    return {key: described[key] for key in ("shape", "dtype", "min", "max", "nonfinite") if key in described}

"""A trace of the tensor operations between one training forward and its backward: the data flow, with lines of source.

It answers questions that no statistic can: which operation cut the gradient of the halting head, whether a softmax feeds a
cross-entropy, which two shapes were broadcast. A function mode sees each call with its arguments and calls the very same
function, so results do not change. It is active in single windows only, never in evaluation (where a mode would turn off
torch's fused inference paths) and never where torch.compile is used.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cognate.observe.live import facts
from cognate.observe.live.attention import Attention
from cognate.observe.live.modules import Modules
from cognate.observe.live.recorder import Recorder, guarded, timed

# Traced windows: an early one, and later ones for what a schedule or curriculum switches on.
WINDOWS = (1, 40, 160, 400, 1000)
# The first window is traced as well, and written down only where it is already non-finite: the second is then too late.
FIRST = 0
# Further ones, a few steps after something new appeared in mid-run: the phase that an optimizer begins.
MOST_LATER = 2
MOST_NODES = 6000
MOST_CHECKED = 1_000_000
COMPARISONS = ("gt", "ge", "lt", "le")
# A mean of what these give out is a mean probability.
SQUASHES = ("sigmoid", "hardsigmoid")
# Arguments worth keeping; large or private ones are not.
ARGUMENTS = (
    "dim",
    "p",
    "is_causal",
    "dropout_p",
    "value",
    "keepdim",
    "training",
    "reduction",
    "start_dim",
    "dims",
    "eps",
)
SKIPPED = {
    "__get__",
    "__set__",
    "size",
    "dim",
    "numel",
    "is_floating_point",
    "device",
    "__len__",
    "__repr__",
    "__format__",
}
# Positional arguments that matter, by operation: where they stand.
POSITIONAL = {
    "softmax": "dim", "log_softmax": "dim", "sum": "dim", "mean": "dim", "cumsum": "dim", "cumprod": "dim",
    "argmax": "dim", "max": "dim", "logsumexp": "dim", "clamp": "min", "pow": "exponent", "dropout": "p",
}  # fmt: skip


class OpTrace(TorchFunctionMode):
    """The mode that is pushed for one window."""

    def __init__(self, recorder: Recorder, modules: Modules, parameters: dict[int, str], inputs: dict[int, str]) -> None:
        super().__init__()
        self.recorder, self.modules = recorder, modules
        self.parameters, self.inputs = parameters, inputs
        self.known: dict[int, int] = {}
        self.nodes: list[dict[str, Any]] = []
        self.attention = Attention()
        self.latest: dict[str, Tensor] = {}  # what the last operation on a parameter gave out
        self.memory: dict[Any, tuple[int, Tensor]] = {}  # written in place; held, so that no other tensor gets its address
        self.note = guarded(recorder, "operation trace")(timed(recorder)(self._note))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call `func` unchanged, then write the call down."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not self.recorder.inside:
            self.note(func, args, kwargs, result)
        return result

    def _note(self, func: Any, args: Any, kwargs: dict[str, Any], result: Any) -> None:
        name = getattr(func, "__name__", "")
        if name in SKIPPED or len(self.nodes) >= MOST_NODES:
            return
        given = _tensors((*args, *kwargs.values()))
        if not given and not isinstance(result, Tensor):
            return
        index = len(self.nodes)
        node: dict[str, Any] = {"w": self.recorder.step, "i": index, "op": name.strip("_") or name}
        node["in"] = [self.known[id(t)] for t in given if id(t) in self.known]
        for key, table in (("p", self.parameters), ("x", self.inputs)):
            names = [table[id(t)] for t in given if id(t) in table]
            if names:
                node[key] = names
        node["shapes"] = [list(t.shape) for t in given[:3]]
        node["ig"] = any(t.requires_grad for t in given)
        if not torch.is_grad_enabled():
            node["off"] = True
        outputs = [result] if isinstance(result, Tensor) else _tensors(result) if isinstance(result, (tuple, list)) else []
        if name == "__setitem__":
            outputs = [args[0]]
        if outputs and given and outputs[0] is given[0] and _writes(name):
            node["into"] = self._place(given[0])
        for out in outputs:
            self.known[id(out)] = index
        if outputs:
            node["shape"], node["g"] = list(outputs[0].shape), outputs[0].requires_grad
            node["dtype"] = str(outputs[0].dtype).removeprefix("torch.")
            if outputs[0].is_floating_point() and 0 < outputs[0].numel() <= MOST_CHECKED:
                self._judge_values(node, outputs[0])
                self.attention.look(node, name, args, kwargs, outputs[0])
                if "p" in node and outputs[0].requires_grad:
                    self._compare(node, outputs[0].detach())
            if name in ("mul", "__mul__") and node["g"] and outputs[0].dim() >= 2:
                sums = {str(k): facts for k, t in enumerate(given[:2]) if (facts := _unit_sums(t))}
                if sums:
                    node["sums"] = sums
            if node["dtype"] == "bool" and node["ig"] and outputs[0].numel():
                node["true"] = round(float(outputs[0].float().mean()), 5)
        node["a"] = _arguments(name, args, kwargs)
        site = self.recorder.sites.here(4)
        if site:
            node["site"] = site
        if self.modules.stack:
            module = self.modules.stack[-1]
            node["m"] = self.modules.names.get(id(module), type(module).__name__)
        self.nodes.append(node)

    def _judge_values(self, node: dict[str, Any], out: Tensor) -> None:
        """The value of a scalar, and the share of non-finite entries: they tell which operation made the first NaN."""
        values = out.detach()
        if values.dim() == 0:
            value = float(values)
            node["v"] = value if value - value == 0 else None
        # A sum is non-finite where an entry is, and costs a tenth of asking every entry.
        total = float(values.sum())
        if node["op"] in SQUASHES:
            node["mean"] = round(total / values.numel(), 6) if total - total == 0 else None
        if total == 0 and not bool(values.any()):
            node["zero"] = True
        if total - total != 0 and not bool(values.isfinite().all()):
            # Masks are -inf on purpose; NaN never is.
            node["nan"] = round(float(values.isnan().float().mean()), 6)
            node["inf"] = round(float(values.isinf().float().mean()), 6)

    def _compare(self, node: dict[str, Any], out: Tensor) -> None:
        """The size of what an operation on a parameter gave out, and how far it moved since the parameter's last use.

        Along a recursion they say whether its state grows, and whether its steps do anything.
        """
        size = float(torch.linalg.vector_norm(out.float()))
        node["rms"] = size / out.numel() ** 0.5 if size - size == 0 else None
        last = self.latest.get(node["p"][0])
        if last is not None and last.shape == out.shape and size > 0 and size - size == 0:
            node["moved"] = round(float(torch.linalg.vector_norm(out.float() - last.float())) / size, 7)
        self.latest[node["p"][0]] = out

    def _place(self, tensor: Tensor) -> int:
        """A number for the memory that `tensor` stands for; views of other elements have other numbers."""
        if not facts.readable(tensor):
            return -1
        key = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tuple(tensor.shape))
        return self.memory.setdefault(key, (len(self.memory), tensor.detach()))[0]

    def finish(self, end: int | None) -> None:
        """Write the trace down; `end` is the operation whose result backward was called on."""
        for node in self.nodes:
            self.recorder.add("trace", node)
        self.recorder.add("trace", {"w": self.recorder.step, "root": end, "nodes": len(self.nodes)})


class Tracing:
    """Pushes the mode when a training forward begins in a chosen window and pops it when backward begins."""

    def __init__(self, recorder: Recorder, modules: Modules) -> None:
        self.recorder, self.modules = recorder, modules
        self.mode: OpTrace | None = None
        self.windows = [FIRST, *WINDOWS]
        self.first: tuple[OpTrace, int | None] | None = None
        self.later = 0
        self.last = -1  # the window that was traced last; a second root in it is left alone
        recorder.must_look |= set(WINDOWS)

    @property
    def due(self) -> bool:
        """Whether the open window is to be traced."""
        step = self.recorder.step
        if step == self.last:
            return False
        if self.windows and step >= self.windows[0]:
            return True
        return step in self.recorder.refocused and self.later < MOST_LATER

    def begin(self, root: nn.Module, args: Any, kwargs: Any, parameters: dict[int, str], grad: bool) -> None:
        """Start, if this window is to be traced and nothing forbids it."""
        if self.mode is not None or not self.due:
            return
        if not (grad and root.training and self.recorder.close) or self.modules.compiled:
            return
        self.first = None
        self.last = self.recorder.step
        self.later += not (self.windows and self.recorder.step >= self.windows[0])
        self.windows = [w for w in self.windows if w > self.recorder.step]
        inputs = {id(t): f"input{i}" for i, t in enumerate(_tensors((*args, *kwargs.values())))}
        self.mode = OpTrace(self.recorder, self.modules, parameters, inputs)
        self.mode.__enter__()

    def end(self, root: Tensor | None = None) -> None:
        """Stop, and write down what was seen if backward was reached."""
        if self.mode is None:
            return
        mode, self.mode = self.mode, None
        mode.__exit__(None, None, None)
        if root is None:
            return
        if self.recorder.step == FIRST:
            self.first = (mode, mode.known.get(id(root)))
        else:
            mode.finish(mode.known.get(id(root)))

    def keep_first(self) -> None:
        """Write the first window's trace down, if it is the open one: a number in it is not finite."""
        if self.first is not None and self.recorder.step == FIRST:
            self.first[0].finish(self.first[1])
            self.first = None


def _writes(name: str) -> bool:
    """Whether the function called `name` changes its first argument."""
    return name == "__setitem__" or (name.startswith("__i") and name.endswith("__")) or (name[-1:] == "_" and name[-2:] != "__")


def _tensors(values: Any, depth: int = 2) -> list[Tensor]:
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif depth and isinstance(value, (list, tuple)):
            found.extend(_tensors(value, depth - 1))
    return found


def _unit_sums(tensor: Tensor) -> dict[str, list[float]] | None:
    """For weights in [0, 1]: the smallest and largest sum along each short dimension; mixing weights sum to one."""
    if not tensor.is_floating_point() or tensor.dim() < 2 or tensor.numel() > MOST_CHECKED or tensor.numel() == 0:
        return None
    values = tensor.detach()
    if not bool(((values >= 0) & (values <= 1)).all()):
        return None
    found = {}
    for dim in range(min(values.dim(), 3)):
        if 2 <= values.shape[dim] <= 64:
            total = values.sum(dim)
            found[str(dim)] = [round(float(total.min()), 5), round(float(total.max()), 5)]
    return found or None


def _arguments(name: str, args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in kwargs.items() if k in ARGUMENTS and isinstance(v, (int, float, bool, str))}
    if name in POSITIONAL and len(args) > 1 and isinstance(args[1], (int, float)):
        kept.setdefault(POSITIONAL[name], args[1])
    if name in ("masked_fill", "masked_fill_") and len(args) > 2 and isinstance(args[2], (int, float)):
        kept["value"] = str(args[2])
    if name.strip("_") in COMPARISONS and len(args) > 1 and isinstance(args[1], (int, float)):
        kept["bound"] = args[1] if args[1] - args[1] == 0 else str(args[1])
    if name == "scaled_dot_product_attention":
        kept["masked"] = (len(args) > 3 and args[3] is not None) or kwargs.get("attn_mask") is not None
    scalars = [a for a in args if isinstance(a, (int, float)) and not isinstance(a, bool)]
    if scalars and name in (
        "mul",
        "__mul__",
        "__rmul__",
        "div",
        "__truediv__",
        "__rtruediv__",
        "add",
        "__add__",
        "__radd__",
    ):
        kept["scalar"] = scalars[0] if scalars[0] - scalars[0] == 0 else str(scalars[0])
    return kept

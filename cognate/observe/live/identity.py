"""Who holds which parameter: the model's modules, the optimizers' groups, shared storage, what hangs on unregistered.

Written to `model.json`. Identity is compared by object, so that an optimizer that still holds the parameters of a replaced
head is proved to, not guessed to.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from cognate.observe.live import facts
from cognate.observe.live.checkpoints import Checkpoints
from cognate.observe.live.loose import unregistered
from cognate.observe.live.modules import Modules, depends_on_mode
from cognate.observe.live.moments import state_dtypes
from cognate.observe.live.recorder import Recorder, guarded, timed
from cognate.observe.live.steps import Steps, group_facts

# Model files larger than this help nobody; a model with more parameters tensors is described by its first ones.
MOST_PARAMETERS = 2000
# Numbers and flags of a module that decide how it behaves in training.
SETTINGS = "p inplace bias padding_idx num_embeddings embedding_dim in_features out_features eps momentum batch_first dim"
# What a Hugging Face configuration (or one like it) says about the ids of its vocabulary.
SPECIAL = ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")


class Identity:
    """Keeps the best-known status of every parameter and writes model.json as the run goes on."""

    def __init__(self, recorder: Recorder, modules: Modules, steps: Steps, checkpoints: Checkpoints) -> None:
        self.recorder, self.modules, self.steps, self.checkpoints = recorder, modules, steps, checkpoints
        # Parameter -> [first fingerprint, gradient status, windows looked at, owner label, group, moved, first owner step]
        self.known = WeakTensorKeyDictionary()
        self.known_any = False
        self.written: dict[str, Any] = {}
        self.layers: dict[str, Any] = {}  # the latest row of layers.jsonl
        self.next_write = 2

    def roots(self) -> list[nn.Module]:
        """The top modules that no other top module contains, in the order in which they were first seen."""
        tops = list(self.modules.tops)
        inner = {id(part) for top in tops for part in top.modules() if part is not top}
        outer = [top for top in tops if id(top) not in inner]
        return sorted(outer, key=lambda module: _number(self.recorder.label(module, "model")))

    def parameter_names(self) -> dict[int, str]:
        """Every parameter's dotted name by id, under its root's class where there are several roots."""
        return {id(p): prefix + name for prefix, root in self._prefixed() for name, p in root.named_parameters()}

    def _prefixed(self) -> list[tuple[str, nn.Module]]:
        """The roots that hold parameters, each with what its names begin with where there are several."""
        roots = [root for root in self.roots() if any(True for _ in root.parameters())]
        return [(f"{type(root).__name__}." if len(roots) > 1 else "", root) for root in roots]

    def name_modules(self) -> None:
        """Give every module its dotted name, under its root's class where there are several roots."""
        self.modules.names = {
            id(module): prefix + (name or type(root).__name__)
            for prefix, root in self._prefixed()
            for name, module in root.named_modules()
        }

    def before_step(self, optimizer: torch.optim.Optimizer) -> None:
        """On close windows: note for every parameter whether its gradient is none, zero or present."""
        for root in self.roots():
            for parameter in root.parameters():
                self._note(parameter)
        label = self.recorder.label(optimizer, "optimizer")
        for index, group in enumerate(optimizer.param_groups):
            for parameter in group["params"]:
                record = self._note(parameter, look=False)
                record["owner"], record["group"] = label, index
        if self.recorder.step >= self.next_write or self.recorder.step in self.recorder.refocused:
            # Often enough that a model which the script lets go of before the end is known as it was at the end.
            begun = time.perf_counter()
            self.write()
            dear = time.perf_counter() - begun > 0.002 * (begun - self.recorder.started)
            self.next_write = max(self.recorder.step + 2, int(self.recorder.step * (2.0 if dear else 1.2)))

    def _note(self, parameter: Tensor, look: bool = True) -> dict[str, Any]:
        record = self.known.get(parameter)
        if record is None:
            record = {"first": facts.fingerprint(parameter, 64), "grad": "unseen", "windows": 0, "moved": None}
            record["seen_at"] = self.recorder.step
            record["start"] = facts.moments(parameter)
            self.known[parameter] = record
            if self.recorder.step > 0 and self.known_any:
                self.recorder.look_closely()
            self.known_any = True
        if not look or not parameter.requires_grad:
            return record
        record["windows"] += 1
        gradient = parameter.grad
        if record["grad"] == "present":  # the best status there is: no need to read the gradient again
            return record
        if gradient is None:
            status = "none"
        elif gradient.is_sparse:
            status = "present"
        else:
            status = "present" if bool(gradient.any()) else "zero"
        rank = ("unseen", "none", "zero", "present")
        if rank.index(status) > rank.index(record["grad"]):
            record["grad"] = status
        return record

    def layers_row(self) -> dict[str, Any]:
        """Per-tensor gradient and parameter norms now, and the activations that the deep window collected."""
        names, parameters = [], []
        for prefix, root in self._prefixed():
            for name, parameter in root.named_parameters():
                if parameter.is_floating_point() and not parameter.is_sparse:
                    names.append(prefix + name)
                    parameters.append(parameter)
        graded = [(n, p) for n, p in zip(names, parameters, strict=True) if p.grad is not None and not p.grad.is_sparse]
        row: dict[str, Any] = {"step": self.recorder.step}
        row["param_norm"] = _norms(names, [p.detach() for p in parameters])
        row["grad_norm"] = _norms([n for n, _ in graded], [p.grad.detach() for _, p in graded])  # type: ignore[union-attr]
        row["activation"] = dict(self.modules.activations)
        return row

    def write(self) -> None:
        """Write model.json; what the garbage collector has taken since is kept as it was last seen."""
        held: dict[int, bool] = {}
        for root in self.roots():
            held.update((id(p), True) for p in root.parameters())
            label = self.recorder.label(root, "model")
            if any(True for _ in root.parameters()) or root in self.modules.used:
                self.written[label] = self._root(root, label)
        optimizers = sorted(self.steps.optimizers, key=lambda o: _number(self.recorder.label(o, "optimizer")))
        for optimizer in optimizers:
            label = self.recorder.label(optimizer, "optimizer")
            self.written[label] = self._optimizer(optimizer, label, held)
        self.recorder.document(
            "model.json",
            {
                "roots": [v for k, v in self.written.items() if k.startswith("model")],
                "optimizers": [v for k, v in self.written.items() if k.startswith("optimizer")],
            },
        )

    def _root(self, root: nn.Module, label: str) -> dict[str, Any]:
        modules = []
        for name, module in list(root.named_modules())[:MOST_PARAMETERS]:
            entry: dict[str, Any] = {"name": name, "cls": type(module).__name__, "training": module.training}
            entry["used"] = module in self.modules.used
            if depends_on_mode(module):
                entry["mode_dependent"] = True
            settings = {k: getattr(module, k, None) for k in SETTINGS.split()}
            entry["settings"] = {k: v for k, v in settings.items() if isinstance(v, (int, float, bool, str))}
            modules.append(entry)
        return {
            "label": label,
            "cls": type(root).__name__,
            "loaded": label in self.checkpoints.loaded,
            "tokens": special_tokens(root),
            "modules": modules,
            "parameters": [self._parameter(n, p) for n, p in list(root.named_parameters())[:MOST_PARAMETERS]],
            "unregistered": unregistered(root, self._owned()),
            "step": self.recorder.step,
        }

    def _owned(self) -> set[int]:
        return {id(p) for o in self.steps.optimizers for group in o.param_groups for p in group["params"]}

    def _parameter(self, name: str, parameter: nn.Parameter) -> dict[str, Any]:
        record = self._note(parameter, look=False)
        if record["windows"] or record.get("owner") or record["seen_at"] < self.recorder.step:
            record["moved"] = record["moved"] or facts.fingerprint(parameter, 64) != record["first"]
        entry = {
            "name": name,
            "shape": facts.shape(parameter),
            "dtype": str(parameter.dtype).removeprefix("torch."),
            "numel": facts.numel(parameter),
            "requires_grad": parameter.requires_grad,
            "device": str(parameter.device),
            "storage": parameter.untyped_storage().data_ptr() if facts.readable(parameter) else 0,
            "optimizer": record.get("owner"),
            "group": record.get("group"),
            "grad": record["grad"],
            "windows": record["windows"],
            "moved": record["moved"],
            "seen_at": record["seen_at"],
            "loaded": parameter in self.checkpoints.received,
            "start": record["start"],
        }
        if facts.readable(parameter) and parameter.numel() > 1 and parameter.is_floating_point():
            values = parameter.detach()
            entry["constant"] = bool((values == values.reshape(-1)[0]).all())
            if values.dim() >= 2 and values.shape[0] > 1:
                # Units whose incoming weights are equal compute the same thing and receive the same update.
                entry["clones"] = bool((values == values[:1]).all())
        return entry

    def _optimizer(self, optimizer: torch.optim.Optimizer, label: str, held: dict[int, bool]) -> dict[str, Any]:
        orphans = [
            {"group": index, "shape": facts.shape(parameter)}
            for index, group in enumerate(optimizer.param_groups)
            for parameter in group["params"]
            if id(parameter) not in held
        ]
        return {
            "label": label,
            "cls": type(optimizer).__name__,
            "site": self.steps.sites.get(label),
            "groups": [group_facts(group) for group in optimizer.param_groups],
            "steps": self.steps.taken.get(label, 0),
            "orphans": orphans,
            "state_dtypes": state_dtypes(optimizer),
        }

    def install(self) -> None:
        """Look at every close step, write at growing intervals and at the end."""
        note = guarded(self.recorder, "model.json")(timed(self.recorder)(self.before_step))
        layers = guarded(self.recorder, "layers")(timed(self.recorder)(self._layers))

        arrived = guarded(self.recorder, "load")(timed(self.recorder)(self.checkpoints.first_step))

        def on_step(optimizer: torch.optim.Optimizer) -> None:
            if self.checkpoints.pending and not self.steps.taken.get(self.recorder.label(optimizer, "optimizer")):
                arrived(optimizer, self.roots)
            if self.recorder.close:
                if self.recorder.deep:
                    layers()
                note(optimizer)

        self.steps.on_step_begin = on_step
        self.steps.on_update = self._updated
        self.recorder.at_finish.append(guarded(self.recorder, "model.json")(self.write))

    def _layers(self) -> None:
        self.name_modules()
        self.layers = self.layers_row()
        self.recorder.add("layers", self.layers)

    def _updated(self, ratios: dict[int, float]) -> None:
        """Complete the row of the deep window that is about to end."""
        if self.layers.get("step") == self.recorder.step:
            names = self.parameter_names()
            self.layers.setdefault("update_ratio", {}).update(_finite((names.get(key), r) for key, r in ratios.items()))


def special_tokens(root: nn.Module) -> dict[str, int]:
    """The special token ids and the size of the vocabulary in the `config` of `root` or of the first part that has one."""
    for part in root.modules():
        config = vars(part).get("config")
        known = {key: getattr(config, key, None) for key in SPECIAL}
        known = {key: value for key, value in known.items() if type(value) is int}
        if "vocab_size" in known:
            return known  # type: ignore[return-value]
    return {}


def _norms(names: list[str], tensors: list[Tensor]) -> dict[str, float | None]:
    if not tensors or len({t.device for t in tensors}) != 1:
        return {}
    values = torch.stack([facts.wide(n) for n in torch._foreach_norm(tensors)]).tolist()
    return {name: value if value - value == 0 else None for name, value in zip(names, values, strict=True)}


def _finite(named: Iterable[tuple[str | None, float]]) -> dict[str, float | None]:
    return {name: value if value - value == 0 else None for name, value in named if name is not None}


def _number(label: str) -> int:
    return int(label.rpartition("#")[2])

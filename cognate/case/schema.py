"""The types of the evidence on disk; `docs/case.md` and `docs/schema/case.schema.json` are generated from them.

Every type is a `TypedDict` because rows are read by the million and must cost no more than `json.loads`. Keys may be
absent: a recorder writes what it saw, a reader asks before it trusts. Unknown keys are kept and ignored.
"""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from cognate.case.formats import SCHEMA as SCHEMA
from cognate.case.formats import TRAINING_SCHEMA as TRAINING_SCHEMA
from cognate.case.surroundings import Distribution as Distribution
from cognate.case.surroundings import DistributionTrouble as DistributionTrouble
from cognate.case.surroundings import EnvironmentInfo as EnvironmentInfo
from cognate.case.surroundings import GuardInfo as GuardInfo
from cognate.case.surroundings import ImportTrace as ImportTrace
from cognate.case.surroundings import ModulePlace as ModulePlace
from cognate.case.surroundings import PathEntry as PathEntry
from cognate.case.surroundings import View as View


class Site(TypedDict, total=False):
    """A line of first-party code."""

    file: str  # relative to the folder of the script where possible
    line: int
    function: str


class Crash(TypedDict, total=False):
    """The exception that ended the run."""

    type: str
    message: str
    traceback: str
    site: Site


class Integrity(TypedDict, total=False):
    """How far the observation itself can be trusted."""

    hooks: list[str]  # what was installed
    steps_seen: int  # optimizer steps
    sampled_steps: int
    observer_seconds: float  # time spent inside Cognate, probes excluded
    probe_seconds: float
    errors: list[str]  # what we failed to record, one line each
    finished: bool  # the recorder saw the end of the process


class CaseInfo(TypedDict, total=False):
    """`case.json`: what ran, where, how it ended."""

    schema: str
    kind: Literal["run", "environment", "script", "checkpoint"]
    origin: str  # "live", or the name of the log reader
    title: str
    command: list[str]
    script: str
    cwd: str
    python: str
    versions: dict[str, str]
    git: dict[str, Any]
    host: dict[str, Any]
    seeds: list[Any]
    started: str  # ISO 8601, UTC
    ended: str
    seconds: float
    exit: dict[str, Any]  # {"code": int | None, "signal": str | None}
    exception: Crash
    integrity: Integrity
    ranks: dict[str, Any]  # several processes: "recorded" ranks (the lowest is the case itself), "unfinished", "crashed"
    columns: dict[str, str]  # a foreign log's columns and the roles they were given
    cognate: str


class MetricsRow(TypedDict, total=False):
    """One line of `metrics.jsonl`: one optimizer step, or one logged row of a foreign run."""

    step: int
    t: float  # seconds since the recorder started
    loss: float | None
    val_loss: float | None
    lr: float | None
    grad_norm: float | None  # global L2 norm before clipping
    clip: float | None  # limit given to clip_grad_norm_ or clip_grad_value_
    clip_value: bool  # it limits each element, by clip_grad_value_, not the norm
    grad_norm_clipped: float | None
    half_precision: bool  # most of the updated tensors are bfloat16 or float16
    unchanged_elements: float  # share of elements with a gradient that the step left as they were
    zero_gradients: float  # share of gradient elements that are exactly zero
    unchanged_moments: float  # share of half-precision second moments with a gradient that the step left as they were
    zero_moments: float  # share of these that are zero
    update_ratio: float | None  # median over tensors of |Δw| / |w|
    step_time: float | None
    data_time: float  # of it, seconds in which the script waited for batches of DataLoaders
    backwards: int  # calls of backward in this step, where more than one
    grad_norm_at_step: float | None  # as the optimizer found it, after clipping
    tensors: int  # looked at in this step
    unchanged_tensors: int  # of these, tensors that the step left as they were
    optimizer: str  # label of the optimizer that stepped
    user: dict[str, float | None]  # metrics by the user's own names
    nonfinite: dict[str, str]  # field -> "nan" | "inf" | "-inf", where the field itself is null
    epoch: float | None
    segment: int  # of a foreign log: begins anew where its counter goes back (restart, resume, a second run in the file)


class LayersRow(TypedDict, total=False):
    """One line of `layers.jsonl`: one sampled step, wide."""

    step: int
    grad_norm: dict[str, float | None]  # by parameter name; null where non-finite
    param_norm: dict[str, float | None]
    update_ratio: dict[str, float | None]
    activation: dict[str, dict[str, Any]]  # by module name: cls, mean_abs, std, zero; dead, saturated, units, rows


class Event(TypedDict, total=False):
    """One line of `events.jsonl`; the other keys depend on `kind` (see docs/case.md)."""

    kind: str
    step: int  # optimizer steps completed before the event
    t: float
    n: int  # running number: the order of events
    site: Site


class ProbeResult(TypedDict, total=False):
    """One line of `probes.jsonl`: one experiment on a copy."""

    probe: str
    step: int
    status: Literal["ok", "not_run"]
    reason: str  # why it was not run
    did: str  # what was done, in words
    result: dict[str, Any]
    module: str
    seed: int
    seconds: float


class TraceNode(TypedDict, total=False):
    """One line of `trace.jsonl`: one tensor operation of a traced window, or, with `root`, the end of its window.

    `in`, a word that Python keeps for itself, holds the numbers of the operations whose results it takes.
    """

    w: int  # the window: optimizer steps completed before it
    i: int  # number of the operation in its window
    op: str
    p: list[str]  # parameters that it takes, by name
    x: list[str]  # inputs of the root forward that it takes
    shapes: list[list[int]]
    shape: list[int]
    ig: bool  # whether an input requires a gradient
    g: bool  # whether the result does
    off: bool  # gradients were turned off when it ran
    zero: bool  # every entry of the result is zero
    dtype: str
    v: float | None  # the value of a scalar result
    nan: float  # share of NaN in the result
    inf: float
    true: float  # for a comparison of something differentiable: share of true
    mean: float | None  # of what a sigmoid gave out
    rms: float | None  # of what an operation on a parameter gave out
    moved: float  # relative change of that since the last operation on the same parameter
    into: int  # of an operation in place: number of the memory that it wrote
    sums: dict[str, dict[str, list[float]]]  # for a product with weights in [0, 1]: their sums by factor and dimension
    a: dict[str, Any]  # arguments worth keeping
    m: str  # the module whose forward was under way
    site: Site
    root: int | None  # the operation whose result backward was called on
    nodes: int


class ParameterInfo(TypedDict, total=False):
    """One parameter of a root module."""

    name: str
    shape: list[int]
    dtype: str
    numel: int
    requires_grad: bool
    device: str
    storage: int  # equal numbers share memory (tied weights)
    optimizer: str | None
    group: int | None
    grad: Literal["present", "zero", "none", "unseen"]
    moved: bool | None  # changed since it was first seen
    windows: int  # steps at which its gradient was looked at
    seen_at: int  # step at which it was first seen
    constant: bool  # all elements are equal
    clones: bool  # all rows are equal
    start: dict[str, float]  # when it was first seen, of a sample: mean, std, most (largest magnitude)


class RootInfo(TypedDict, total=False):
    """A module that no other module calls."""

    label: str
    cls: str
    site: Site
    modules: list[dict[str, Any]]  # name, cls, own settings worth judging (p, bias, …)
    parameters: list[ParameterInfo]
    unregistered: list[dict[str, Any]]  # modules and parameters that hang on attributes or lists unregistered
    loaded: bool  # weights were loaded into it
    step: int  # when it was described
    tokens: dict[str, int]  # ids of special tokens and the size of the vocabulary, from a configuration it carries


class OptimizerInfo(TypedDict, total=False):
    """An optimizer, and what it owns."""

    label: str
    cls: str
    site: Site
    groups: list[dict[str, Any]]  # hyper-parameters, parameters, numel
    steps: int
    orphans: list[dict[str, Any]]  # owned parameters that no observed module holds (shape, index)
    state_dtypes: dict[str, dict[str, int]]  # number types of its state: {"exp_avg": {"float32": 12}}


class ModelInfo(TypedDict, total=False):
    """`model.json`."""

    roots: list[RootInfo]
    optimizers: list[OptimizerInfo]


class TrainingInfo(TypedDict, total=False):
    """`training.json`: what `cognate train` measured of its run. A value that was not measured is null."""

    schema: str
    preset: str
    specialisation: str | None
    parameters: dict[str, Any]  # total; parts and shares, by name
    data: dict[str, Any]  # source, split_by, train, validation, bad_rows ({"where", "reason"}, the first ones), bad_rows_count
    options: dict[str, Any]  # as they were set
    ended: str  # "finished", "early stopping", or the name of a signal
    steps: int
    tokens: int  # scored tokens trained on
    seconds: float
    loss: dict[str, Any]  # expected_first (ln of the vocabulary), first, last
    validation: dict[str, Any]  # evaluations, losses ([step, loss]), best, best_step
    gradient: dict[str, Any]  # logged, median_norm, largest_norm, clip_norm, clipped; norms are before clipping
    halting: dict[str, Any] | None  # answers, mean, variance, histogram, information: over the validation tokens
    inference: dict[str, Any]  # tokens_shape, logits_shape, answers_used, flops, flops_saved
    independence: dict[str, Any] | None  # future_influence, neighbour_influence, own_influence: largest changes of outputs
    exact_match: dict[str, Any] | None  # problems, right, exact_match, by_difficulty, correlation: by free generation
    checkpoints: dict[str, str | None]  # last, best

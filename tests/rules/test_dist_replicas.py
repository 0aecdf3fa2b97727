"""Runs of two ranks: replicas that drift, batches that repeat, and the many healthy ways to be different."""

from __future__ import annotations

from typing import Any

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules import Severity
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}
SITE = {"file": "t.py", "line": 40, "function": "train"}
WRAPPER = {"kind": "rank", "name": "wrapper", "object": "model#0", "module": "model#1", "cls": "DistributedDataParallel", "n": 2}


def state(step: int, parameters: int, gradients: int, **more: Any) -> dict[str, Any]:
    row = {"kind": "rank", "name": "state", "step": step, "n": 10 + 5 * step, "object": "optimizer#0", "tensors": 4}
    return {**row, "parameters": parameters, "gradients": gradients, **more}


def rank(number: int, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"kind": "rank", "name": "group", "rank": number, "world": 2, "step": 0, "n": 1}, *rows]


def two(mine: list[dict[str, Any]], other: list[dict[str, Any]], **more: Any) -> Case:
    return Case.of(events=rank(0, *mine), ranks={1: {"events": rank(1, *other), "model": more.get("model", {})}}, **more)


def judged(name: str, case: Case):  # type: ignore[no-untyped-def]
    return run_rule(RULES[name], case)


def states(parameters: list[int], gradients: list[int], values: float = 0.1) -> list[dict[str, Any]]:
    pairs = zip(parameters, gradients, strict=True)
    return [state(s, p, g, values=[values, 1.0], gradient_values=[values, -g / 10]) for s, (p, g) in enumerate(pairs)]


def test_one_process_has_no_ranks():
    outcome = judged("dist-params-diverge", Case.of(events=[{"kind": "call", "name": "step", "step": 0, "n": 1}]))
    assert (outcome.status, outcome.reason) == ("skipped", "no second rank of the run was seen")


def test_gradients_that_are_not_averaged_are_told_from_a_different_start():
    drift = judged("dist-params-diverge", two(states([1, 2, 3, 4], [1, 2, 3, 4]), states([1, 7, 8, 9], [5, 6, 7, 8], 0.4)))
    start = judged("dist-params-diverge", two(states([1, 2, 3, 4], [1, 2, 3, 4]), states([6, 7, 8, 9], [1, 2, 3, 4], 0.4)))
    assert "gradients are not averaged" in drift.findings[0].title and drift.findings[0].onset_step == 1
    assert "start from different weights" in start.findings[0].title and start.findings[0].onset_step == 0


def test_weights_that_meet_again_are_averaged_on_purpose():
    outcome = judged(
        "dist-params-diverge", two(states([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]), states([1, 7, 8, 4, 9], [5, 6, 7, 8, 9], 0.4))
    )
    assert outcome.status == "clear" and "made equal again" in outcome.evidence


def test_rounding_is_no_drift():
    outcome = judged("dist-params-diverge", two(states([1, 2, 3], [1, 2, 3]), states([1, 7, 8], [1, 2, 3], 0.1 + 1e-7)))
    assert outcome.status == "clear" and "rounding" in outcome.evidence


def test_models_of_different_shapes_are_no_replicas():
    def model(size: int) -> dict[str, Any]:
        return {"roots": [{"cls": "Net", "parameters": [{"name": "w", "shape": [size], "optimizer": "optimizer#0"}]}]}

    mine, other = states([1, 2, 3], [1, 2, 3]), states([4, 5, 6], [4, 5, 6])
    case = Case.of(events=rank(0, *mine), model=model(4), ranks={1: {"events": rank(1, *other), "model": model(8)}})
    assert judged("dist-params-diverge", case).status == "skipped"


def test_stages_of_a_pipeline_are_no_replicas():
    source = {"t.py": "import torch.distributed as dist\ndist.send(x, 1)\n"}
    case = two(states([1, 2, 3], [1, 2, 3]), states([4, 5, 6], [4, 5, 6], 0.4), source=source)
    assert judged("dist-params-diverge", case).status == "skipped"


def test_models_that_nobody_meant_to_be_equal_are_a_warning():
    outcome = judged("dist-params-diverge", two(states([1, 2, 3], [1, 2, 3]), states([4, 5, 6], [4, 5, 6], 0.4)))
    assert outcome.findings[0].severity is Severity.WARNING
    wrapped = two([WRAPPER, *states([1, 2, 3], [1, 2, 3])], states([4, 5, 6], [4, 5, 6], 0.4))
    assert judged("dist-params-diverge", wrapped).findings[0].severity is None


@pytest.mark.parametrize(("what", "status"), [("data", "skipped"), ("grad", "fired")])
def test_weights_averaged_now_and_then(what, status):
    source = {"t.py": f"for p in net.parameters():\n    dist.all_reduce(p.{what})\n"}
    case = two(states([1, 2, 3], [1, 2, 3]), states([1, 5, 6], [4, 5, 6], 0.4), source=source)
    assert judged("dist-params-diverge", case).status == status


def forwards(objects: list[str], grad: bool = True) -> list[dict[str, Any]]:
    common = {"kind": "forward", "training": grad, "grad": grad, "site": SITE}
    return [{**common, "step": step, "n": 11 + 5 * step, "object": name} for step, name in enumerate(objects)]


@pytest.mark.parametrize(
    ("rows", "gradients", "status"),
    [
        (forwards(["model#1 Net"] * 4), [5, 6, 7, 8], "fired"),
        (forwards(["model#1 Net"] * 4), [1, 2, 3, 4], "clear"),  # averaged by hand
        (forwards(["model#0 DistributedDataParallel"] * 4) + forwards(["model#1 Net"] * 4, grad=False), [5, 6, 7, 8], "clear"),
        (forwards(["model#0 DistributedDataParallel"] * 3 + ["model#1 Net"]), [5, 6, 7, 8], "clear"),
    ],
)
def test_the_raw_module_in_training(rows, gradients, status):
    case = two([WRAPPER, *rows, *states([1, 2, 3, 4], [1, 2, 3, 4])], states([1, 7, 8, 9], gradients))
    assert judged("dist-wrapper-bypassed", case).status == status


def batches(rows: list[list[int]]) -> list[dict[str, Any]]:
    common = {"kind": "forward", "training": True, "grad": True, "site": SITE, "object": "model#0 Net"}
    return [{**common, "step": s, "n": 11 + 5 * s, "inputs": [{"hash": str(r)}], "rows": r} for s, r in enumerate(rows)]


SHARDED = "import torch.distributed as dist\ndef run(rank):\n    world = dist.get_world_size()\n    x = data[{}::world]\n"


@pytest.mark.parametrize(
    ("begin", "status"),
    [("", "fired"), ("0", "fired"), ("rank", "clear")],
)
def test_a_shard_is_cut_by_the_rank(begin, status):
    mine, other = batches([[1, 2], [3, 4], [1, 3], [2, 4]]), batches([[3, 1], [2, 4], [4, 1], [3, 2]])
    outcome = judged("dist-same-data-all-ranks", two(mine, other, source={"t.py": SHARDED.format(begin)}))
    assert outcome.status == status
    if status == "fired":
        assert outcome.findings[0].location.line == 4


def test_random_batches_from_all_of_the_data_are_healthy():
    mine, other = batches([[1, 2], [3, 4], [1, 3], [2, 4]]), batches([[3, 1], [2, 4], [4, 1], [3, 2]])
    assert judged("dist-same-data-all-ranks", two(mine, other)).status == "clear"


def test_one_batch_again_and_again_is_no_sampling_at_all():
    assert judged("dist-same-data-all-ranks", two(batches([[1, 2]] * 5), batches([[1, 2]] * 5))).status == "clear"


def passes(rows: list[list[int]], sampler: str) -> list[dict[str, Any]]:
    loader = {"kind": "loader", "object": "loader#0", "length": 8, "batch_size": 2, "sampler": sampler, "shuffles": True, "n": 2}
    begin = {"kind": "call", "name": "loader_iter", "object": "loader#0", "number": 0, "step": 0, "n": 3}
    return [{**loader, "step": 0, "site": SITE}, begin, *batches(rows)]


@pytest.mark.parametrize(("sampler", "status"), [("RandomSampler", "fired"), ("DistributedSampler", "clear")])
def test_a_pass_of_each_rank_over_all_of_the_data(sampler, status):
    mine, other = [[1, 2], [3, 4], [5, 6], [7, 8]], [[3, 5], [8, 2], [1, 4], [6, 7]]
    outcome = judged("dist-same-data-all-ranks", two(passes(mine, sampler), passes(other, sampler)))
    assert outcome.status == status
    if status == "fired":
        assert outcome.findings[0].severity is Severity.WARNING


def losses(counts: list[int], coefficient: float = 1.0, reduction: str = "mean") -> list[dict[str, Any]]:
    call = {
        "kind": "loss_call",
        "fn": "cross_entropy",
        "grad": True,
        "reduction": reduction,
        "coefficient": coefficient,
        "site": SITE,
    }
    rows = [
        {**call, "step": s, "n": 11 + 5 * s, "target": {"shape": [100], "ignored": 1 - count / 100}}
        for s, count in enumerate(counts)
    ]
    return [*rows, *states(list(range(len(counts))), list(range(len(counts))))]


EVEN = [90, 80, 85, 95, 88, 84, 91, 87]


@pytest.mark.parametrize(
    ("mine", "other", "status"),
    [
        (losses(EVEN), losses([70, 60, 65, 72, 66, 61, 73, 64]), "fired"),  # one rank has fewer at every step
        (losses(EVEN), losses([75, 95, 70, 80, 100, 70, 75, 100]), "clear"),  # by chance, in either direction
        (losses([90, 20, 85, 15] * 2), losses([20, 90, 25, 88] * 2), "fired"),  # by chance, but widely
        (losses(EVEN, 0.8), losses([30] * 8, 1.2), "skipped"),  # weighted by hand
        (losses(EVEN, reduction="sum"), losses([30] * 8, reduction="sum"), "skipped"),
        (losses([100] * 8), losses([100] * 8), "clear"),
    ],
)
def test_means_over_unequal_counts(mine, other, status):
    assert judged("dist-loss-mean-of-means", two(mine, other)).status == status


def clips(norms: list[float], limit: float) -> list[dict[str, Any]]:
    call = {"kind": "call", "name": "clip_grad_norm_", "limit": limit, "site": SITE}
    return [{**call, "step": s, "n": 11 + 5 * s, "norm": norm} for s, norm in enumerate(norms)]


@pytest.mark.parametrize(
    ("other", "limit", "gradients", "status"),
    [
        ([2.5, 3.5, 2.2, 4.1], 1.0, [1, 2, 3, 4], "fired"),
        ([2.0, 3.0, 2.0, 3.0], 1.0, [1, 2, 3, 4], "clear"),
        ([2.5, 3.5, 2.2, 4.1], 10.0, [1, 2, 3, 4], "clear"),  # nothing is clipped
        ([2.5, 3.5, 2.2, 4.1], 1.0, [5, 6, 7, 8], "clear"),  # the gradients are not averaged at all: another cause
    ],
)
def test_norms_of_the_ranks(other, limit, gradients, status):
    mine = [*clips([2.0, 3.0, 2.0, 3.0], limit), *states([1, 2, 3, 4], [1, 2, 3, 4])]
    assert judged("dist-clip-local-norm", two(mine, [*clips(other, limit), *states([1, 2, 3, 4], gradients)])).status == status


def noise(randoms: list[int]) -> list[dict[str, Any]]:
    return [state(s, s, s, random=value) for s, value in enumerate(randoms)]


@pytest.mark.parametrize(
    ("p", "mine", "other", "status"),
    [
        (0.1, [1, 2, 3, 4], [1, 2, 3, 4], "fired"),
        (0.1, [1, 2, 3, 4], [5, 6, 7, 8], "clear"),
        (0.0, [1, 2, 3, 4], [1, 2, 3, 4], "clear"),
        (0.1, [1, 1, 1, 1], [1, 1, 1, 1], "skipped"),  # nothing was drawn from these generators
    ],
)
def test_the_same_noise(p, mine, other, status):
    model = {"roots": [{"cls": "Net", "modules": [{"name": "drop", "cls": "Dropout", "used": True, "settings": {"p": p}}]}]}
    assert judged("dist-seed-wrong", two(noise(mine), noise(other), model=model)).status == status

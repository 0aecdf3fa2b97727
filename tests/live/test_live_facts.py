"""What the recorder writes down about small training loops, each a function of one script with its own fault."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("loops.py").read_text(encoding="utf-8")


class Facts:
    """The case, read by the function of the script in which something happened."""

    def __init__(self, run):
        self.case = run.case
        self.stderr = run.stderr

    def events(self, section, kind, **fields):
        return [e for e in self.case.events(kind, **fields) if e.get("site", {}).get("function") == section]

    def steps(self, section):
        return [e["step"] for e in self.events(section, "call", name="step")]

    def metrics(self, section):
        wanted = set(self.steps(section))
        return [row for row in self.case.metrics if row["step"] in wanted]

    def root(self, cls):
        return [root for root in self.case.model["roots"] if root["cls"] == cls]


@pytest.fixture(scope="module")
def facts(new_patient):
    run = new_patient(SCRIPT).observed(options={"budget": 1e6})
    assert run.code == 0 and run.complaints == [] and run.case.info["integrity"]["errors"] == []
    return Facts(run)


def test_calls_come_in_their_order_with_their_lines(facts):
    step = facts.steps("in_order")[1]
    window = [e for e in facts.case.all_events if e["step"] == step]
    seen = [
        e.get("name", e["kind"]) for e in window if e["kind"] in ("call", "forward", "loss_call") and "scheduler" not in str(e)
    ]
    assert seen == ["zero_grad", "forward", "loss_call", "backward", "clip_grad_norm_", "step"]
    lines = [e["site"]["line"] for e in window if e.get("name") in ("zero_grad", "backward", "clip_grad_norm_", "step")]
    assert lines == list(range(lines[0], lines[0] + 4))
    assert [e["n"] for e in facts.case.all_events] == sorted(e["n"] for e in facts.case.all_events)


def test_clipping(facts):
    for call, row in zip(facts.events("in_order", "call", name="clip_grad_norm_"), facts.metrics("in_order"), strict=True):
        assert call["limit"] == row["clip"] == 1e-3 and call["norm"] == row["grad_norm"] > 1e-3
        assert math.isclose(row["grad_norm_clipped"], 1e-3, rel_tol=1e-3)


@pytest.mark.parametrize(
    ("section", "carried"),
    [
        ("in_order", [False] * 4),
        ("never_cleared", [False, True, True]),
        ("cleared_by_hand", [False] * 3),
        ("cleared_in_place", [False] * 3),
        ("cleared_by_model", [False] * 3),
    ],
)
def test_gradients_carried_over_from_the_step_before(facts, section, carried):
    assert [call["carried"] for call in facts.events(section, "call", name="step")] == carried


def test_gradients_that_are_gone_when_the_step_is_made(facts):
    assert {call["grads"] for call in facts.events("cleared_before_step", "call", name="step")} == {"none"}
    assert {call["grads"] for call in facts.events("in_order", "call", name="step")} == {"present"}


def test_what_kind_of_scores_a_loss_was_given(facts):
    calls = facts.events("kinds_of_scores", "loss_call")[:5]
    assert [c["fn"] for c in calls] == ["cross_entropy", "cross_entropy", "nll_loss", "cross_entropy", "mse_loss"]
    assert [c["input"].get("kind") for c in calls[:4]] == ["logits", "probabilities", "log_probabilities", "logits"]
    assert [c.get("coefficient") for c in calls] == [0.0, 0.25, -1.0, pytest.approx(1.0), None]
    assert [c["classes"] for c in calls[:4]] == [3] * 4
    assert calls[3]["reduction"] == "none" and calls[3]["result_shape"] == [16]
    assert calls[4]["input"]["shape"] == [16, 3] and calls[4]["target"]["shape"] == [16, 1]
    assert sum(calls[0]["target"]["histogram"]["counts"].values()) == 16


def test_targets_laid_over_the_input(facts):
    right, none, double = (c["target"]["offsets"]["0"] for c in facts.events("offsets", "loss_call"))
    assert right["1"] == 1.0 and right["0"] == 0.0 and right["2"] == 0.0
    assert none["0"] == 1.0 and none["1"] == 0.0
    assert double["2"] == 1.0 and double["1"] < 0.1


def test_padding_that_counts(facts):
    counted, ignored = (c["target"]["padding"] for c in facts.events("padding", "loss_call"))
    assert counted["id"] == ignored["id"] == 0
    assert counted["share_of_counted"] == pytest.approx(counted["padded"], rel=0.01) and counted["share_of_counted"] > 0.2
    assert (counted["target"], counted["constant"], counted["ignored_real"]) == (0, 1.0, 0.0)
    assert ignored["share_of_counted"] == 0.0


def test_modes_and_gradients_of_forwards(facts):
    seen = [(e["training"], e["grad"]) for e in facts.events("modes", "forward")]
    assert seen == [(True, True), (False, False), (True, False)]
    assert [e["name"] for e in facts.events("modes", "call") if e["name"] in ("train", "eval")] == [
        "train",
        "eval",
        "train",
    ]
    assert [bool(e["mode_mismatch"]) for e in facts.events("modes", "forward")] == [False, False, True]


def test_parameters_that_no_optimizer_owns_and_owned_ones_that_no_module_holds(facts):
    optimizer = next(o for o in facts.case.model["optimizers"] if o["site"]["function"] == "ownership")
    assert [orphan["shape"] for orphan in optimizer["orphans"]] == [[3, 8], [3]]
    owned = {
        p["name"]: p["optimizer"]
        for root in facts.root("Sequential")
        for p in root["parameters"]
        if p["optimizer"] in (optimizer["label"], None)
    }
    assert owned["0.weight"] == optimizer["label"] and owned["3.weight"] is None
    others = [o for o in facts.case.model["optimizers"] if o["site"]["function"] == "sgd"]
    assert all(o["orphans"] == [] or o["steps"] for o in others)


def test_modules_and_tensors_that_are_not_registered(facts):
    loose = facts.root("Loose")[0]["unregistered"]
    assert {(entry["attribute"], entry["cls"]) for entry in loose} == {("rest[0]", "Linear"), ("scale", "Tensor")}
    assert all(entry["grad"] and not entry["owned"] for entry in loose)
    assert all(root["unregistered"] == [] for root in facts.root("Sequential"))


def test_a_state_dict_that_is_no_copy(facts):
    loads = {s: facts.events(s, "checkpoint", name="load_state_dict")[0] for s in ("by_reference", "by_copy")}
    assert loads["by_reference"]["shares_live_storage"] == 4
    assert loads["by_copy"]["shares_live_storage"] == 0
    assert facts.events("by_copy", "checkpoint", name="deepcopy")[0]["object"] == "state dict"


def test_schedules(facts):
    built = [facts.events(s, "scheduler")[0] for s in ("in_order", "schedule_never_stepped")]
    assert [(b["cls"], b["plan"].get("step_size"), b["plan"].get("T_max")) for b in built] == [
        ("StepLR", 2, None),
        ("CosineAnnealingLR", None, 99),
    ]
    assert len(facts.events("in_order", "call", name="scheduler_step")) == 4
    stepped = {s["cls"]: s.get("steps") for s in facts.case.events("schedules")[0]["schedules"]}
    assert stepped == {"StepLR": 4, "CosineAnnealingLR": None}
    assert [row["lr"] for row in facts.metrics("in_order")] == [0.01, 0.01, 0.005, 0.005]


def test_seeds(facts):
    assert facts.case.info["seeds"][:3] == [
        {"library": "torch", "seed": 7},
        {"library": "random", "seed": 8},
        {"library": "numpy", "seed": 9},
    ]
    assert [e["seed"] for e in facts.events("seeds_in_the_loop", "seed")] == [11] * 3


def test_loaders_and_batches(facts):
    plain, mixed = facts.events("loaders", "loader")
    assert (plain["shuffles"], mixed["shuffles"], mixed["drop_last"], plain["batch_size"]) == (False, True, True, 8)
    assert plain["length"] == 16 and plain["dataset"] == "TensorDataset" and plain["dataset_id"] != mixed["dataset_id"]
    hashes = {}
    for event in facts.case.events("batch"):
        hashes.setdefault((event["object"], event["number"]), []).append([t["hash"] for t in event["tensors"]])
    first, second, shuffled = hashes.values()
    assert first == second != shuffled and len(first) == 2
    assert facts.case.events("batch")[0]["tensors"][1]["histogram"]["total"] == 8


def test_losses_that_are_not_finite(facts):
    rows = facts.metrics("not_finite")
    assert [row["loss"] is None for row in rows] == [False, True, True, True]
    assert [row.get("nonfinite", {}).get("loss") for row in rows] == [None, "nan", "inf", "-inf"]


def test_an_update_that_changes_nothing(facts):
    (row,) = facts.metrics("nothing_moves")
    assert row["update_ratio"] == 0.0 and row["unchanged_tensors"] == row["tensors"] == 4
    assert all(row["update_ratio"] > 0 and row["unchanged_tensors"] == 0 for row in facts.metrics("in_order")[:2])


def test_the_trace_shows_where_the_gradient_is_cut(facts):
    nodes = [n for n in facts.case.trace if "op" in n]
    cuts = [n for n in nodes if n["ig"] and n.get("g") is False]
    assert [(n["op"], n["m"], n["site"]["function"]) for n in cuts] == [("gt", "Gated", "forward")]
    assert cuts[0]["dtype"] == "bool" and 0 <= cuts[0]["true"] <= 1
    root = next(n["root"] for n in facts.case.trace if "root" in n)
    assert nodes[root]["op"] == "cross_entropy"
    gate = {p["name"]: p["grad"] for r in facts.root("Gated") for p in r["parameters"]}
    assert (gate["gate.weight"], gate["body.weight"]) == ("none", "present")


def test_one_metrics_row_for_every_step(facts):
    steps = facts.case.info["integrity"]["steps_seen"]
    assert [row["step"] for row in facts.case.metrics] == list(range(steps))
    assert facts.case.calls["step"] == steps
    assert all(
        row["loss"] == pytest.approx(call["value"])
        for row, call in zip(facts.metrics("never_cleared"), facts.events("never_cleared", "call", name="backward"), strict=True)
    )


def test_printed_lines_lie_between_what_happened(facts):
    order = [e["text"] for e in facts.case.events("print", stream="stdout")]
    assert order[0] == "end of cut_graph" and len(order) == 20
    at = {e["text"]: e["step"] for e in facts.case.events("print", stream="stdout")}
    assert at["end of cut_graph"] == 3 and at["end of in_order"] == 7


def test_the_source_is_kept(facts):
    assert "def cut_graph()" in facts.case.source["train.py"]

"""Orders of calls, gradients that are off, options that become True: what is healthy although it looks alike."""

from __future__ import annotations

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}
LOOP = """
for x in loader:
    opt.zero_grad()
    loss(x).backward()
opt.step()
"""
ATTACK = """
for x in loader:
    for _ in range(2):
        model.zero_grad()
        loss(x).backward()
    opt.step()
"""


def status(name, **parts):
    return run_rule(RULES[name], Case.of(**parts))


def calls(order, lines, owner="optimizer#0", windows=6, grads="present"):
    rows = []
    for step in range(windows):
        for name in order:
            place = {"file": "train.py", "line": lines[name], "function": "fit"}
            row = {"step": step, "n": len(rows), "site": place}
            if name == "loss":
                rows.append(row | {"kind": "loss_call", "fn": "mse_loss", "grad": True, "value": 2.0})
            else:
                rows.append(row | {"kind": "call", "name": name, "object": owner, "value": 1.0, "grads": grads})
    return rows


def test_a_loss_for_the_log_after_backward_is_no_wrong_order():
    order = ["zero_grad", "loss", "backward", "loss", "step"]

    assert status("code-call-order", events=calls(order, dict.fromkeys(order, 4))).status == "clear"


def test_a_loss_that_is_differentiated_in_the_next_window_is_the_only_sign_of_a_late_backward():
    order = ["backward", "loss", "step"]

    assert status("code-call-order", events=calls(order, dict.fromkeys(order, 4))).status == "clear", "another loss than before"
    assert status("code-call-order", events=calls(order, dict.fromkeys(order, 4), grads="none")).status == "fired"


def test_a_step_outside_the_loop_that_clears_uses_the_last_batch_alone():
    order = ["zero_grad", "backward", "zero_grad", "backward", "step"]
    lines = {"zero_grad": 3, "backward": 4, "step": 5}
    outcome = status("code-call-order", events=calls(order, lines), source={"train.py": LOOP})

    assert outcome.status == "fired" and outcome.findings[0].location.line == 5


def test_an_ensemble_whose_members_are_cleared_in_turn_is_left_alone():
    rows = calls(["zero_grad", "backward", "zero_grad", "backward", "step"], {"zero_grad": 3, "backward": 4, "step": 5})
    members = [row | {"object": "optimizer#1"} if row["name"] == "zero_grad" else row for row in rows]

    assert status("code-call-order", events=members, source={"train.py": LOOP}).status == "clear"


def test_gradients_of_an_attack_on_the_input_may_be_cleared():
    rows = calls(
        ["zero_grad", "backward", "zero_grad", "backward", "zero_grad", "backward", "step"],
        {"zero_grad": 4, "backward": 5, "step": 6},
    )
    main = [row | {"site": row["site"] | {"line": 9}} if row["n"] % 7 == 5 else row for row in rows]

    assert status("code-call-order", events=main, source={"train.py": ATTACK}).status == "clear"


OWNED = {"requires_grad": True, "windows": 8, "optimizer": "optimizer#0", "grad": "none", "name": "body.weight"}
NODE = {"w": 1, "i": 0, "op": "linear", "in": [], "p": ["body.weight"], "ig": True, "g": False, "off": True}
BODY = "def forward(self, x):\n    {}\n        h = self.body(x)\n    return self.head(h)\n"


def without_grad(line, source, **parameter):
    node = NODE | {"site": {"file": "net.py", "line": line, "function": "forward"}}
    model = {"roots": [{"cls": "Net", "parameters": [OWNED | parameter]}]}
    return {"trace": [node, {"w": 1, "root": None, "nodes": 1}], "model": model, "source": {"net.py": source}}


@pytest.mark.parametrize(
    "opening", ["with torch.no_grad():", "with torch.inference_mode():", "with torch.set_grad_enabled(False):"]
)
def test_whatever_turns_gradients_off_is_named(opening):
    outcome = status("code-no-grad-on-train", **without_grad(3, BODY.format(opening)))

    assert outcome.status == "fired" and outcome.findings[0].location.line == 2


def test_a_teacher_in_no_optimizer_is_left_alone():
    assert (
        status("code-no-grad-on-train", **without_grad(3, BODY.format("with torch.no_grad():"), optimizer=None)).status == "clear"
    )


def test_checkpointing_runs_without_gradients_by_nature():
    source = "def forward(self, x):\n    return checkpoint(self.body, x)\n"

    assert status("code-no-grad-on-train", **without_grad(2, source)).status == "clear"


def test_a_loaded_part_without_gradients_may_be_frozen_on_purpose():
    case = without_grad(3, BODY.format("with torch.no_grad():"), loaded=True)
    case["model"]["roots"][0]["loaded"] = True

    assert status("code-no-grad-on-train", **case).findings[0].severity.value == "warning"


@pytest.mark.parametrize(
    ("option", "words", "rest", "expected"),
    [
        ("'--freeze', type=bool, default=False", ["--freeze", "False"], "", "fired"),
        ("'--freeze', type=bool, default=False", ["--freeze=no"], "", "fired"),
        ("'--freeze', type=bool, default='False'", [], "", "fired"),
        ("'--freeze', type=bool, default=False", [], "argv = ['--freeze', 'False']", "fired"),
        ("'--freeze', type=bool, default=False", [], "", "clear"),
        ("'--freeze', type=bool, default=False", ["--freeze", "True"], "argv = ['--freeze', 'False']", "clear"),
        ("'--freeze', type=flag, default=False", ["--freeze", "False"], "", "clear"),
        ("'--steps', type=int, default=0", ["--steps", "0"], "", "clear"),
    ],
)
def test_only_a_text_that_was_given_counts(option, words, rest, expected):
    source = f"p = ArgumentParser()\np.add_argument({option})\n{rest}\nargs = p.parse_args()\nfit(args.freeze, args.steps)\n"
    outcome = status("code-argparse-bool", source={"train.py": source}, info={"command": ["python", "train.py", *words]})

    assert outcome.status == expected


def test_a_list_for_parse_args_itself_counts_whatever_the_command_line_says():
    source = "p.add_argument('--freeze', type=bool)\nargs = p.parse_args(['--freeze', 'off'])\nfit(args.freeze)\n"
    outcome = status("code-argparse-bool", source={"train.py": source}, info={"command": ["python", "train.py", "x"]})

    assert outcome.status == "fired"


STEP = """
def fit(batch):
    loss(batch).backward()

for batch in loader:
    try:
        {body}
    except {caught}:
        {answer}
"""


def handled(body="fit(batch)", caught="Exception", answer="continue", backwards=40, steps=40):
    counts = {"batches:loader#0": 60, "pass:loader#0": 2, "backward": backwards, "step": steps}
    drawn = {"kind": "call", "name": "loader_iter", "object": "loader#0", "step": 0, "site": {"file": "train.py", "line": 5}}
    events = [drawn, {"kind": "optimizer", "step": 0}, {"kind": "call_counts", "counts": counts}]
    return {"source": {"train.py": STEP.format(body=body, caught=caught, answer=answer)}, "events": events}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "fired"),
        ({"backwards": 0, "steps": 0}, "fired"),
        ({"backwards": 60, "steps": 60}, "clear"),
        ({"backwards": 58, "steps": 58}, "clear"),  # each pass was left one batch early
        ({"caught": "torch.cuda.OutOfMemoryError"}, "clear"),
        ({"caught": "RuntimeError as error", "answer": "torch.cuda.empty_cache()"}, "clear"),
        ({"answer": "raise SystemExit"}, "clear"),
        ({"body": "log(batch)"}, "clear"),
    ],
)
def test_exceptions_that_cost_batches(change, expected):
    assert status("code-swallowed-exception", **handled(**change)).status == expected

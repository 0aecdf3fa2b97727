"""What ignore_index leaves out is not what the labels are padded with."""

import ast
import re
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import called
from cognate.rules.training import commonest_site, train_losses, where

Row = dict
DEFAULT = -100


def _calls(ignore: int) -> list[Row]:
    out = 0.3 if ignore == 0 else 0.0
    tail = {"value": 4, "share": 0.3, "elsewhere": 0.0, "ignored_elsewhere": out, "quiet": 1.0}
    base = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "ignore_index": ignore, "classes": 5}
    target = {"tail": tail, "holes": out, "histogram": {"counts": {"0": 40, "1": 60, "4": 50}}}
    return [base | {"step": s, "target": target, "site": {"file": "t.py", "line": 40}} for s in range(8)]


@rule(
    code="LOSS121",
    name="loss-ignore-index-mismatch",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    subjects=("run",),
    explains={"data-pad-in-loss", "loss-not-decreasing"},
    sources={
        "calls": "three batches rule out one special batch",
        "padded": "our calibration: rows that end in padding on 5 % of the positions or more; less has little effect",
        "spilt": "our calibration: a row whose padding is one position long counts as unpadded, which leaves up to 5 % outside",
    },
    fires=Example(events=_calls(0)),
    quiet=Example(events=_calls(4)),
)
def loss_ignore_index_mismatch(case: Case, *, calls: int = 3, padded: float = 0.05, spilt: float = 0.05) -> Iterator[Said]:
    """ignore_index and the padding of the labels don't match: padding counts in the loss, and a real class may be left out.

    Labels padded with one value and a loss that ignores another train the model to predict padding; where the ignored value is a
    class of its own, that class is never learnt. A mask that leaves labels out by their size (`labels < 4`) does the same.
    """
    crash = _crashed(case)
    if crash is not None:
        yield crash
        return
    looked = [c for c in train_losses(case, "cross_entropy", "nll_loss") if c.get("reduction") != "none"]
    if len(looked) < calls:
        yield Skip("no loss over class numbers was computed in training", "")
        return
    hits = [c for c in looked if _missed(c, padded, spilt)]
    if len(hits) >= calls and len(hits) >= 0.8 * len([c for c in looked if c["site"] == hits[0]["site"]]):
        from statistics import median

        lost = median(_tail(c)["ignored_elsewhere"] for c in hits)
        ignore = hits[0].get("ignore_index", DEFAULT)
        if lost > 0.01 or not any(_occurs(c, ignore) for c in looked):
            yield _finding(hits, ignore, lost)
            return
    by_size = _by_size(case, looked, calls)
    yield by_size or Clear(
        f"{len(looked)} losses: what ignore_index leaves out is not the end of padded rows or a class of its own"
    )


def _tail(call: Row) -> Row:
    """The end of padded rows: measured on the labels themselves, else on the tokens that went into the model."""
    target = call.get("target", {})
    if "tail" in target:
        return dict(target["tail"])
    padding = target.get("padding")
    if not padding or padding.get("constant", 0.0) < 0.9:
        return {}
    counted = padding["share_of_counted"] > 0
    out = padding.get("ignored_real", 0.0)
    share_of = padding.get("padded", 0.0)
    value = padding["target"] if counted else call.get("ignore_index", DEFAULT)
    return {"value": value, "share": share_of, "elsewhere": 0.0, "ignored_elsewhere": out, "quiet": 1.0}


def _missed(call: Row, padded: float, spilt: float) -> bool:
    """Whether rows end in a value of their own, where the data are padded too, that counts while another one is left out."""
    tail, ignore = _tail(call), call.get("ignore_index", DEFAULT)
    if not tail or tail["value"] == ignore or ignore == DEFAULT or tail["share"] < padded or tail["elsewhere"] > spilt:
        return False
    if "quiet" not in tail:  # no input lies over the labels, as with a decoder: then what is lost has to show
        return bool(tail["ignored_elsewhere"] > spilt)
    return bool(tail["quiet"] >= 0.9)


def _occurs(call: Row, value: int) -> bool:
    return str(value) in call.get("target", {}).get("histogram", {}).get("counts", {})


def _finding(hits: list[Row], ignore: int, lost: float) -> Finding:
    site, tail = commonest_site(hits), _tail(hits[0])
    what = f"leaves out {lost:.0%} of the real labels instead" if lost > 0.01 else "matches no label at all"
    return Finding(
        title=f"labels are padded with {tail['value']} but the loss at {where(site)} has ignore_index={ignore}, which {what}: "
        f"padding counts in the loss",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("share of the labels at the padded end of their row", tail["share"], "left out", "events.jsonl"),
            Evidence("value there, and ignore_index", [tail["value"], ignore], "equal"),
            Evidence("share of the other labels that ignore_index leaves out", round(lost, 3), "0"),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix(f"Pass ignore_index={tail['value']}, or pad the labels with {ignore} if no class has that number."),
    )


def _crashed(case: Case) -> Finding | None:
    """The loss refused a negative label: a padding value that it was not told to ignore."""
    crash = case.info.get("exception") or {}
    refused = re.search(r"Target (-\d+) is out of bounds", crash.get("message", ""))
    if not refused or not _filled_with(case, int(refused.group(1))):
        return None
    site = crash.get("site")
    return Finding(
        title=f"labels hold {refused.group(1)}, which is no class and not what the loss at {where(site)} ignores",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("the exception", crash.get("message", "")[:120]),),
        location=Location.of(site),
        onset_step=0,
        fix=Fix(f"Pass ignore_index={refused.group(1)} to the loss, or pad the labels with what it ignores (-100 by default)."),
    )


FILLS = ("full", "full_like", "new_full", "masked_fill", "masked_fill_", "fill_", "pad", "where")
FILLERS = ("padding_value", "fill_value", "value", "constant_values")


def _filled_with(case: Case, value: int) -> bool:
    """Whether the script fills something with `value`; a label that is wrong by itself is another matter."""
    for tree in case.trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                given = [k.value for k in node.keywords if k.arg in FILLERS] + (list(node.args) if called(node) in FILLS else [])
                if any(_value(argument) == value for argument in given):
                    return True
            targets = node.targets if isinstance(node, ast.Assign) and _value(node.value) == value else []
            if any(isinstance(t, ast.Subscript) or "pad" in str(getattr(t, "id", "")).lower() for t in targets):
                return True
    return False


def _by_size(case: Case, looked: list[Row], calls: int) -> Finding | None:
    """Labels that an inequality on themselves sets to what the loss ignores, with gaps inside the rows to show for it."""
    from statistics import median

    gaps = [c for c in looked if 0 < c.get("target", {}).get("holes", 0.0) <= 0.6]
    if len(gaps) < calls:
        return None
    ignore = gaps[0].get("ignore_index", DEFAULT)
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if not _masks_by_size(node, ignore):
                continue
            site = {"file": file, "line": node.lineno}  # type: ignore[attr-defined]
            holes = median(c["target"]["holes"] for c in gaps)
            return Finding(
                title=f"the mask at {where(site)} leaves labels out by their size: {holes:.0%} of the labels between "
                f"the first and the last of a row do not count, padding or not",
                proof=Proof.MEASUREMENT,
                evidence=(
                    Evidence("statement", ast.unparse(node)[:120], "labels == padding"),
                    Evidence("share of labels left out inside their rows", round(holes, 3), "0", "events.jsonl"),
                    Evidence("ignore_index in use", ignore),
                ),
                location=Location.of(site),
                onset_step=0,
                fix=Fix("Leave out the padding alone: compare with the padding value, or use the attention mask."),
            )
    return None


def _masks_by_size(node: ast.AST, ignore: int) -> bool:
    """`x.masked_fill(x < k, ignore)`, `x[x < k] = ignore`, `where(x < k, ignore, x)` with k above 0."""
    if isinstance(node, ast.Call) and called(node) in ("masked_fill", "masked_fill_") and len(node.args) == 2:
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        return owner is not None and _value(node.args[1]) == ignore and _small(node.args[0], owner)
    if isinstance(node, ast.Call) and called(node) == "where" and len(node.args) == 3:
        return _value(node.args[1]) == ignore and _small(node.args[0], node.args[2])
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Subscript):
        target = node.targets[0]
        return _value(node.value) == ignore and _small(target.slice, target.value)
    return False


def _small(test: ast.AST, owner: ast.AST) -> bool:
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], (ast.Lt, ast.LtE))):
        return False
    bound = _value(test.comparators[0])
    return ast.unparse(test.left) == ast.unparse(owner) and (bound is None or bound > 0)


def _value(node: ast.AST) -> int | None:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        return None
    return value if isinstance(value, int) else None

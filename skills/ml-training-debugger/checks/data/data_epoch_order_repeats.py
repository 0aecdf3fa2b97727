"""Every epoch goes through the data in the same order."""

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import LOOPS, Site, called, calls, first_call, function_at, in_loop
from cognate.rules.training import where

RANDOM = ("RandomSampler", "DistributedSampler", "SubsetRandomSampler", "WeightedRandomSampler")
ORDERS = ("randperm", "permutation", "shuffle", "permuted")
# Libraries whose loops call set_epoch, or put a sampler of their own in place.
FRAMEWORKS = ("lightning", "pytorch_lightning", "accelerate", "transformers", "ignite", "fastai", "composer")


def _events(repeats: bool) -> list[dict]:
    loader = {"kind": "loader", "object": "loader#0", "sampler": "DistributedSampler", "shuffles": True, "reorders": True}
    loader |= {"dataset": "Rows", "dataset_id": "dataset#0", "site": {"file": "t.py", "line": 12}}
    batch = {"kind": "batch", "object": "loader#0"}
    return [loader] + [
        batch | {"number": p, "index": i, "step": 9 * p + i, "tensors": [{"hash": i if repeats else 10 * p + i}]}
        for p in range(3)
        for i in range(4)
    ]


@rule(
    code="DATA121",
    name="data-epoch-order-repeats",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.call_counts"},
    explains={"eval-overfit"},
    sources={"passes": "taxonomy, data-epoch-order-repeats: equality of the first batches; two equal passes are no chance"},
    fires=Example(events=[*_events(True), {"kind": "call_counts", "counts": {}}]),
    quiet=Example(events=[*_events(False), {"kind": "call_counts", "counts": {}}]),
)
def data_epoch_order_repeats(case: Case, *, passes: int = 2) -> Iterator[Said]:
    """Every epoch shuffles the data into the same order, because the sampler's seed never changes.

    The same batches come again and again, in the same order, so an epoch teaches what the last one did. Usual places: a
    DistributedSampler without `set_epoch(epoch)`, a generator with a fixed seed that is made anew in each epoch. Loaders that do
    not shuffle at all, and those of an evaluation, are left alone.
    """
    shuffled = [e for e in case.events("loader") if e.get("sampler") in RANDOM and e.get("reorders") is not False]
    for loader in shuffled:
        seen = _training_passes(case, loader, shuffled)
        if len(seen) >= passes and _repeat(seen):
            yield _finding(case, loader, len(seen))
            return
    again = _repeated_by_hand(case)
    if again:
        yield again
        return
    static = None if case.steps else _never_told(case)
    if static:
        yield Finding(
            title=f"the DistributedSampler at {where(static)} is never told the epoch, so every epoch has the same order",
            proof=Proof.SOURCE,
            severity=Severity.WARNING,
            evidence=(Evidence("calls of set_epoch in the script and its modules", 0, "one an epoch", "source"),),
            location=Location.of(static),
            fix=Fix("Call sampler.set_epoch(epoch) at the beginning of each epoch."),
        )
        return
    if shuffled:
        yield Clear("the first batches of the passes over a shuffled loader differ, or only one pass was made")
    else:
        yield Skip("neither a DataLoader that shuffles nor batches that come again were seen", "")


def _training_passes(case: Case, loader: dict, others: list[dict]) -> list[list[list[int]]]:
    """Hashes of the first batches of each pass that trains: by pass, batch, tensor. A loader rebuilt at its line goes on."""
    same = [e for e in others if e.get("site") == loader.get("site") and e.get("dataset_id") == loader.get("dataset_id")]
    built = [e.get("n", 0) for e in case.events("optimizer")]
    first, last = min(e.get("n", 0) for e in same), max(e.get("n", 0) for e in same)
    if len(same) > 1 and any(first < n < last for n in built):
        same = [loader]  # another model begins: that its first epoch repeats is what a fixed seed is for
    found: dict[tuple[str, int], list[dict]] = {}
    for batch in case.events("batch"):
        if batch["object"] in {e["object"] for e in same} and batch.get("tensors"):
            found.setdefault((batch["object"], batch["number"]), []).append(batch)
    trains = [batches for batches in found.values() if len({b["step"] for b in batches}) >= 2]
    return [[[t.get("hash") for t in b["tensors"]] for b in batches] for batches in trains]


def _repeat(seen: list[list[list[int]]]) -> bool:
    """Whether one tensor of the batches has the same values, which differ within a pass, in every pass."""
    for slot in range(min(len(batch) for batches in seen for batch in batches)):
        orders = [[batch[slot] for batch in batches] for batches in seen]
        length = min(len(order) for order in orders)
        if length >= 2 and len({tuple(order[:length]) for order in orders}) == 1 and len(set(orders[0][:length])) > 1:
            return True
    return False


def _finding(case: Case, loader: dict, count: int) -> Finding:
    distributed = loader.get("sampler") == "DistributedSampler"
    made = (first_call(case, "DistributedSampler") if distributed else _fixed_seed(case)) or loader.get("site")
    return Finding(
        title=f"every epoch comes in the same order: the first batches of all {count} passes over the DataLoader at "
        f"{where(loader.get('site'))} are equal, although it shuffles ({loader.get('sampler')})",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("passes that begin with the same batches", f"{count} of {count}", "none equal", "events.jsonl"),
            Evidence("sampler", loader.get("sampler")),
        ),
        location=Location.of(made),
        onset_step=0,
        fix=Fix(
            "Call sampler.set_epoch(epoch) at the beginning of each epoch."
            if distributed
            else "Make and seed the generator once, before the loop over epochs, so that each epoch draws on."
        ),
    )


def _repeated_by_hand(case: Case) -> Finding | None:
    """Training batches that came again in a script that draws its order from a generator made anew, with one seed, in a loop."""
    seen: dict[tuple[int, ...], list[int]] = {}
    for event in case.events("forward", grad=True):
        rows = tuple(event.get("rows") or ())
        if len(set(rows)) >= 4:
            seen.setdefault(rows, []).append(int(event["step"]))
    again = {rows: steps for rows, steps in seen.items() if len(set(steps)) >= 2}
    site = _fixed_seed(case)
    if site is None or len(seen) < 3 or len(again) < 2 or not _trained_between(case, again):
        return None
    steps = sorted(next(iter(again.values())))
    return Finding(
        title=f"every epoch comes in the same order: {len(again)} of {len(seen)} training batches that were seen came again row "
        f"by row, and {where(site)} seeds the order anew each time",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("steps at which one batch came, in the same order", steps[:6], "once an order", "events.jsonl"),),
        location=Location.of(site),
        onset_step=steps[1],
        fix=Fix("Make and seed the generator once, before the loop over epochs, so that each epoch draws on."),
    )


def _trained_between(case: Case, again: dict[tuple[int, ...], list[int]]) -> bool:
    """Whether optimizer steps lie between the repeats: a batch that is run twice within one step is no new epoch."""
    return any(max(steps) - min(steps) >= 2 for steps in again.values()) and case.steps >= 4


def _fixed_seed(case: Case) -> Site | None:
    """Where a generator is made from a seed that no epoch changes, in a loop or a function that then draws an order from it."""
    for file, node, name in calls(case):
        if name not in ("manual_seed", "default_rng", "RandomState", "Random") or not node.args or _global(node):
            continue
        if not isinstance(node.args[0], (ast.Constant, ast.Name, ast.Attribute)):
            continue
        site = {"file": file, "line": node.lineno}
        function = function_at(case, file, node.lineno)
        loops = [n for n in ast.walk(function or case.trees[file]) if isinstance(n, LOOPS) and node in ast.walk(n)]
        changed = {t.id for loop in loops if isinstance(loop, ast.For) for t in ast.walk(loop.target) if isinstance(t, ast.Name)}
        changed |= {a.arg for a in function.args.args} if function else set()
        inner = loops[-1] if loops else function
        drawn = inner is not None and any(isinstance(n, ast.Call) and called(n) in ORDERS for n in ast.walk(inner))
        used = {n.id for n in ast.walk(node.args[0]) if isinstance(n, ast.Name)}
        if drawn and not (used & changed - {"self"}) and (loops or _called_in_loop(case, function)):
            return site
    return None


def _global(node: ast.Call) -> bool:
    """Whether the call seeds the library's own generator: that is repro-seed-reset-in-loop."""
    return isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name) and node.func.value.id == "torch"


def _called_in_loop(case: Case, function: ast.FunctionDef | ast.AsyncFunctionDef | None) -> bool:
    if function is None:
        return False
    return any(name == function.name and in_loop(case, {"file": f, "line": node.lineno}) for f, node, name in calls(case))


def _never_told(case: Case) -> Site | None:
    """A shuffling DistributedSampler in a script that loops over epochs by itself and never calls set_epoch."""
    if first_call(case, "set_epoch") or any(_uses_framework(tree) for tree in case.trees.values()):
        return None
    site = first_call(case, "DistributedSampler", where=_shuffles)
    if site is None:
        return None
    nested = any(
        isinstance(outer, LOOPS) and _repeats(outer) and any(isinstance(n, LOOPS) for n in ast.walk(outer) if n is not outer)
        for tree in case.trees.values()
        for outer in ast.walk(tree)
    )
    return site if nested else None


def _shuffles(node: ast.Call) -> bool:
    return not any(k.arg == "shuffle" and not getattr(k.value, "value", True) for k in node.keywords)


def _repeats(loop: ast.AST) -> bool:
    """Whether the loop counts (`for epoch in range(n)`, with n other than one)."""
    if not isinstance(loop, ast.For) or not isinstance(loop.iter, ast.Call) or called(loop.iter) != "range":
        return False
    return getattr(loop.iter.args[-1], "value", None) != 1 if loop.iter.args else False


def _uses_framework(tree: ast.Module) -> bool:
    modules = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    modules += [alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names]
    return any(module.split(".")[0] in FRAMEWORKS for module in modules)

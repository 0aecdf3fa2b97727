"""All ranks train on the same samples."""

import ast
from collections.abc import Iterator
from typing import Any

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import called
from cognate.rules.training import commonest_site, where

_SITE = {"file": "t.py", "line": 40, "function": "train"}


def _rank(rank: int, same: bool) -> list[dict]:
    rows: list[dict] = [{"kind": "rank", "name": "group", "rank": rank, "world": 2, "step": 0, "n": 1}]
    for step in range(6):
        first = 1000 * rank * (not same) + 4 * step
        rows.append(
            {
                "kind": "forward",
                "step": step,
                "n": 2 + step,
                "grad": True,
                "training": True,
                "inputs": [{"shape": [4, 8], "hash": first}],
                "rows": list(range(first, first + 4)),
                "site": _SITE,
            }
        )
    return rows


@rule(
    code="DIST103",
    name="dist-same-data-all-ranks",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.rank", "events.forward"},
    explains={"eval-overfit", "dist-seed-wrong"},
    sources={
        "least": "our calibration: three steps at which every rank has the same batch are no chance",
        "overlap": "our calibration: shards have no sample in common, but data may hold a few twice",
    },
    fires=Example(events=_rank(0, True), ranks={1: {"events": _rank(1, True)}}),
    quiet=Example(events=_rank(0, False), ranks={1: {"events": _rank(1, False)}}),
)
def dist_same_data_all_ranks(case: Case, *, least: int = 3, overlap: float = 0.3) -> Iterator[Said]:
    """Every rank trains on the same samples: the ranks compute the same gradients twice, or the rest of the data is never seen.

    Either all ranks draw the same batches (no DistributedSampler, one seed and no share of the rank's own), or the shard is cut
    without the rank (`data[::world]` on each). Ranks that draw at random from all of the data are healthy and meet by chance.
    """
    seen = {rank: _forwards(part) for rank, part in case.ranks.items()}
    seen = {rank: found for rank, found in seen.items() if found}
    if len(seen) < 2:
        yield Skip("the training batches of fewer than two ranks were recorded", "")
        return
    steps = sorted(set.intersection(*({e["step"] for e in found} for found in seen.values())))
    batches = {step: [_hashes(found, step) for found in seen.values()] for step in steps}
    equal = [step for step in steps if all(hashes == batches[step][0] for hashes in batches[step])]
    distinct = {str(batches[step][0]) for step in equal}
    if len(equal) >= least and len(equal) >= 0.8 * len(steps) and len(distinct) > 1:
        yield _equal(case, seen, equal, steps)
        return
    rows = [{h for e in found for h in e.get("rows") or ()} for found in seen.values()]
    common = set.intersection(*rows)
    share = len(common) / max(1, min(map(len, rows)))
    if share <= overlap:
        yield Clear(f"the batches of {len(seen)} ranks differ: {share:.0%} of their samples were seen by all")
        return
    unsampled = _whole_set_each(case)
    shard = _shard_without_rank(case)
    if unsampled is None and shard is None:
        yield Clear(f"the ranks draw different batches at each step from the same data ({share:.0%} of the samples shared)")
        return
    yield _overlapping(shard or {}, unsampled, share, [len(r) for r in rows])


def _forwards(part: Case) -> list[dict[str, Any]]:
    return [e for e in part.events("forward", grad=True, training=True) if e.get("inputs")]


def _hashes(found: list[dict[str, Any]], step: int) -> list[Any]:
    return [e["inputs"][0].get("hash") for e in found if e["step"] == step][:1]


def _equal(case: Case, seen: dict[int, list[dict[str, Any]]], equal: list[int], steps: list[int]) -> Finding:
    loaders = case.events("loader")
    training = {e["object"] for e in case.events("batch") if e.get("object")}
    made = next((e for e in loaders if e["object"] in training and e.get("sampler") != "DistributedSampler"), None)
    site = (made or {}).get("site") or commonest_site(next(iter(seen.values())))
    return Finding(
        title=f"all {len(seen)} ranks train on the same batches ({where(site)}): equal at {len(equal)} of {len(steps)} steps",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("steps at which every rank had the same batch", f"{len(equal)} of {len(steps)}", "0", "events.jsonl"),
            *((Evidence("sampler of the DataLoader", made.get("sampler"), "DistributedSampler"),) if made else ()),
        ),
        location=Location.of(site),
        onset_step=int(equal[0]),
        fix=Fix("Give each rank a share of its own: a DistributedSampler with its rank, or a seed that includes the rank."),
    )


def _overlapping(shard: dict[str, Any], loader: dict[str, Any] | None, share: float, sizes: list[int]) -> Finding:
    site = shard or (loader or {}).get("site")
    how = "the data is cut by the number of ranks, but not by the rank" if shard else "each rank goes through the whole data set"
    return Finding(
        title=f"the ranks train on the same samples ({where(site)}): {how}, and {share:.0%} of the samples are common to all",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("samples that every rank saw", f"{share:.0%}", "0 %", "events.jsonl, rank-N/events.jsonl"),
            Evidence("different samples seen, by rank", sizes, ""),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix(
            "Let the shard begin at the rank: data[rank::world]."
            if shard
            else "Use a DistributedSampler (and set_epoch), so that the ranks share each pass between them."
        ),
        severity=None if shard else Severity.WARNING,
    )


def _whole_set_each(case: Case) -> dict[str, Any] | None:
    """The training loader where no rank's knows of the others and all pass over a data set of the same length."""
    world = case.events("rank", name="group")[0].get("world") or 2
    trained = {e["object"]: e for e in case.events("loader") if e.get("shuffles") and e.get("length")}
    for label, loader in trained.items():
        if loader.get("sampler") != "RandomSampler" or not loader.get("batch_size"):
            continue
        lengths = {e.get("length") for part in case.ranks.values() for e in part.events("loader", object=label)}
        passes = [_within_first_pass(part, label) for part in case.ranks.values()]
        shared = set.intersection(*passes) if len(passes) == world else set()
        if len(lengths) == 1 and len(shared) > 0.1 * min(map(len, passes), default=1):
            return loader
    return None


def _within_first_pass(part: Case, label: str) -> set[Any]:
    """The samples of the training forwards between the first two beginnings of a pass over the loader."""
    begins = [e["step"] for e in part.events("call", name="loader_iter") if e.get("object") == label]
    end = begins[1] if len(begins) > 1 else None
    within = [e for e in _forwards(part) if begins and begins[0] <= e["step"] and (end is None or e["step"] < end)]
    return {h for e in within for h in e.get("rows") or ()}


def _shard_without_rank(case: Case) -> dict[str, Any] | None:
    """A slice or range that steps by the number of ranks and begins at a constant: the rank was left out."""
    sizes: set[str] = set().union(*map(_names_of, case.trees.values()))
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            begin: ast.expr | None
            if isinstance(node, ast.Slice) and node.step is not None:
                begin, step = node.lower, node.step
            elif isinstance(node, ast.Call) and called(node) == "range" and len(node.args) == 3:
                begin, step = node.args[0], node.args[2]
            else:
                continue
            if _is_world(step, sizes) and (begin is None or isinstance(begin, ast.Constant)):
                return {"file": file, "line": node.lineno if hasattr(node, "lineno") else step.lineno}
    return None


def _names_of(tree: ast.Module) -> set[str]:
    """Names that hold the number of ranks: assigned from get_world_size(), or given to init_process_group or a spawn."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            text = ast.dump(node.value)
            if "get_world_size" in text or "'WORLD_SIZE'" in text:
                names.add(node.targets[0].id)
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg in ("world_size", "nprocs", "num_replicas") and isinstance(keyword.value, ast.Name):
                    names.add(keyword.value.id)
    return names


def _is_world(step: ast.expr, names: set[str]) -> bool:
    if isinstance(step, ast.Name):
        return step.id in names
    return isinstance(step, ast.Call) and called(step) == "get_world_size"

"""Every data-loader worker delivers the same samples."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import where

_LOADER = {
    "kind": "loader",
    "object": "loader#0",
    "workers": 2,
    "dataset": "Stream",
    "length": None,
    "site": {"file": "t.py", "line": 12},
}


def _events(same: bool) -> list[dict]:
    batches = [
        {
            "kind": "batch",
            "object": "loader#0",
            "number": p,
            "index": i,
            "step": 4 * p + i,
            "tensors": [{"hash": i // 2 if same else i}],
        }
        for p in range(2)
        for i in range(4)
    ]
    return [_LOADER, *batches]


@rule(
    code="DATA107",
    name="data-iterable-worker-duplication",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.loader", "events.batch"},
    explains={"eval-overfit"},
    fires=Example(events=_events(True)),
    quiet=Example(events=_events(False)),
)
def data_iterable_worker_duplication(case: Case) -> Iterator[Said]:
    """Samples are duplicated by the data-loader workers: an IterableDataset ignores get_worker_info, so each yields all of it.

    With k workers every sample comes k times an epoch, in neighbouring batches. Shard the stream by worker id.
    """
    loaders = [e for e in case.events("loader") if e.get("workers", 0) >= 2 and e.get("iterable") is not False]
    if not loaders:
        yield Skip("no DataLoader over a stream has two or more workers", "")
        return
    for loader in loaders:
        passes: dict[int, list[int]] = {}
        for batch in case.events("batch", object=loader["object"]):
            if batch.get("tensors"):
                passes.setdefault(batch["number"], []).append(batch["tensors"][0].get("hash"))
        full = [hashes for hashes in passes.values() if len(hashes) >= loader["workers"]]
        doubled = [hashes for hashes in full if len(set(hashes[: loader["workers"]])) == 1]
        if full and len(doubled) == len(full) and len({h for hashes in full for h in hashes}) > 1:
            yield Finding(
                title=f"each of the {loader['workers']} workers of the DataLoader at {where(loader.get('site'))} yields "
                f"the same samples: the "
                f"{loader.get('dataset')} does not shard by worker, so every sample is duplicated",
                proof=Proof.MEASUREMENT,
                evidence=(
                    Evidence(
                        "passes whose first batches, one a worker, are equal",
                        f"{len(doubled)} of {len(full)}",
                        "0",
                        "events.jsonl",
                    ),
                ),
                location=Location.of(loader.get("site")),
                onset_step=0,
                fix=Fix("In __iter__, ask torch.utils.data.get_worker_info() and yield only this worker's share."),
            )
            return
    yield Clear("the workers' first batches differ")

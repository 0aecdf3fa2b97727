"""DistributedDataParallel waits for gradients that never come."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.ranks import raised_at, wrappers
from cognate.rules.source import calls
from cognate.rules.training import where

# How torch's reducer begins its complaint, and what it says before the indices of the parameters.
COMPLAINT = "Expected to have finished reduction in the prior iteration"
INDICES = "did not receive grad for rank"
SITE = {"file": "t.py", "line": 40, "function": "train"}
_GROUP = {"kind": "rank", "name": "group", "rank": 0, "world": 2, "step": 0, "n": 1}
_WRAPPER = {"kind": "rank", "name": "wrapper", "object": "model#0", "module": "model#1", "cls": "DistributedDataParallel"}
_EVENTS = [_GROUP, {**_WRAPPER, "step": 0, "n": 2, "site": {"file": "t.py", "line": 21}}]
_CRASH = {"type": "RuntimeError", "message": COMPLAINT + " before starting a new one.", "traceback": "", "site": SITE}


@rule(
    code="DIST108",
    name="dist-unused-params",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.rank"},
    explains={"dist-rank-lost", "grad-none-or-zero-param"},
    fires=Example(info={"exception": _CRASH}, events=_EVENTS),
    quiet=Example(events=_EVENTS),
)
def dist_unused_params(case: Case) -> Iterator[Said]:
    """Parameters took no part in a forward, so DistributedDataParallel never finished averaging and refused the next step.

    The wrapper counts gradients as they arrive and expects one for every parameter that requires one. A layer that is built and
    not called, a branch not taken, or an output that is left out of the loss breaks the count. Where such parameters are meant
    (branches that are taken by turns), `find_unused_parameters=True` counts them as arrived, for a walk over the graph.
    """
    if not wrappers(case):
        yield Skip("no model was wrapped in DistributedDataParallel", "")
        return
    crash = complaint(case)
    if crash is None:
        yield Clear("every gradient that DistributedDataParallel waited for arrived")
        return
    text = f"{crash.get('message')}\n{crash.get('traceback')}"
    site = raised_at(case, text) or crash.get("site")
    found = _indices(text)
    options = [option for _, node, _ in calls(case) for option in node.keywords if option.arg == "find_unused_parameters"]
    allowed = any(getattr(option.value, "value", None) for option in options)
    yield Finding(
        title=f"parameters of the model wrapped at {where(wrappers(case)[0].get('site'))} took no part in the loss, so "
        f"DistributedDataParallel could not finish averaging (raised at {where(site)})",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("what torch raised", COMPLAINT, "", "case.json"),
            *((Evidence("indices of parameters without a gradient", found, "none"),) if found else ()),
        ),
        location=Location.of(wrappers(case)[0].get("site")),
        onset_step=case.steps or None,
        fix=Fix(
            "Use every output of the forward in the loss: the wrapper was told to find unused parameters, but these were used."
            if allowed
            else "Remove the layers that are not called, or freeze them before wrapping (requires_grad_(False)); "
            "only where they are used by turns, wrap with find_unused_parameters=True."
        ),
    )


def complaint(case: Case) -> dict | None:
    """The reducer's exception, from the rank or the process that it ended; a launcher's wraps the text of its rank's."""
    crashes = [part.info.get("exception") for part in (case, *case.ranks.values())]
    for crash in crashes:
        if crash and COMPLAINT in f"{crash.get('message')}{crash.get('traceback')}":
            return dict(crash)
    return None


def _indices(text: str) -> list[int]:
    """The list after "Parameter indices which did not receive grad for rank N:"; empty where torch gave none."""
    line = text.partition(INDICES)[2].partition(":")[2].strip().splitlines()[:1]
    words = line[0].split("]")[0].strip(" [").split() if line else []
    return [int(word) for word in words if word.isdigit()][:20]

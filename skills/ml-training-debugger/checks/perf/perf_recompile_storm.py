"""torch.compile compiles the same function again and again."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.source import first_call
from cognate.rules.training import where


def _events(count: int) -> list[dict]:
    site = {"file": "t.py", "line": 9, "function": "forward"}
    compiled = {"kind": "compile", "function": "forward", "count": count, "limit": 8, "seconds": 2.5, "site": site}
    return [
        {
            **compiled,
            "step": 40,
            "n": 1,
            "at": [float(i) for i in range(count)],
            "reasons": ["tensor 'x' size mismatch at index 1"],
        }
    ]


@rule(
    code="PERF121",
    name="perf-recompile-storm",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"events.compile"},
    explains={"perf-step-outliers", "perf-throughput-regression"},
    sources={
        "most": "torch._dynamo.config.recompile_limit is 8: a function that reaches it is not compiled any more but runs eagerly"
    },
    fires=Example(events=_events(8)),
    quiet=Example(events=_events(2)),
)
def perf_recompile_storm(case: Case, *, most: int = 8) -> Iterator[Said]:
    """torch.compile recompiles a function until it reaches the limit and gives up: seconds each time, then it runs eagerly.

    Something that the compiler treats as a constant changes from call to call: a Python number, the length of a list, a shape
    that it was told to keep static. A first compilation, one for dynamic shapes and one for each mode are warm-up.
    """
    compiled = case.events("compile")
    worst = max(compiled, key=lambda e: e.get("count", 0))
    limit = min(most, worst.get("limit") or most)
    if worst.get("count", 0) < limit:
        yield Clear(f"no function was compiled more than {worst.get('count', 0)} times")
        return
    site = worst.get("site") or first_call(case, "compile")
    reasons = [str(reason).splitlines()[0].split("  #")[0].strip() for reason in worst.get("reasons") or []]
    reason = reasons[-1] if reasons else "what it takes for constant keeps changing"
    yield Finding(
        title=f"torch.compile compiled {worst.get('function')} ({where(site)}) {worst['count']} times in "
        f"{worst.get('seconds', 0):.3g} s and then gave up: {reason}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("compilations of one function", worst["count"], f"< {limit}", "events.jsonl"),
            Evidence("seconds spent compiling it", worst.get("seconds"), ""),
            *((Evidence("guards that failed, the last ones", reasons, ""),) if reasons else ()),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix(
            "Pass what changes as a tensor, pad or bucket shapes, or mark the dimension with torch._dynamo.mark_dynamic "
            "(TORCH_LOGS=recompiles names each reason)."
        ),
    )

"""The host waits for the GPU several times in each step."""

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import called
from cognate.rules.training import commonest_site, parameters, where

_SITE = {"file": "t.py", "line": 6, "function": "<module>"}
_LOOP = """
for x, y in loader:
    loss = criterion(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
_LOGS = """    history.append(loss.item())
    accuracy += (model(x).argmax(1) == y).float().mean().item()
"""
# Methods of a tensor that need its value on the host.
SYNCS = {"item", "tolist", "cpu", "numpy"}


def _example(source: str) -> Example:
    model = {"roots": [{"cls": "Net", "parameters": [{"name": "w", "device": "cuda:0", "shape": [2]}]}]}
    return Example(
        source={"t.py": source},
        model=model,
        events=[{"kind": "call", "name": "step", "step": s, "n": s, "site": _SITE} for s in range(3)],
    )


@rule(
    code="PERF122",
    name="perf-host-sync-per-step",
    severity=Severity.INFO,
    kind=Kind.CAUSE,
    needs={"source", "model", "events.call"},
    sources={
        "most": "proposed in our fault map: one reading a step, such as that of the loss, is common; each further one waits again"
    },
    fires=_example(_LOOP + _LOGS),
    quiet=_example(_LOOP + "    if step % 100 == 0:\n" + _LOGS.replace("    ", "        ")),
)
def perf_host_sync_per_step(case: Case, *, most: int = 1) -> Iterator[Said]:
    """The loop reads values from the GPU several times in every step: the host waits each time, and the GPU runs dry meanwhile.

    `.item()`, `.cpu()`, `.tolist()` wait until all queued work is done. Keep sums on the device and read them every N steps.
    What it costs depends on the step's length and is not measured here. On a CPU nothing waits.
    """
    devices = {str(p.get("device")).split(":")[0] for p in parameters(case)}
    if "cuda" not in devices:
        yield Clear(f"the model is on {', '.join(sorted(devices)) or 'no known device'}: reading a value waits for nothing")
        return
    site = commonest_site(case.events("call", name="step"))
    loop = _loop(case.trees.get(site["file"]) if site else None, site["line"] if site else 0)
    if site is None or loop is None:
        yield Skip("the loop around the optimizer step was not found in the source", "")
        return
    reads = sorted({call.lineno for call in _always(loop.body) if called(call) in SYNCS and not call.args})
    if len(reads) <= most:
        yield Clear(f"each step reads {len(reads)} value(s) from the device")
        return
    first = {"file": site["file"], "line": reads[0], "function": site.get("function")}
    yield Finding(
        title=f"each step reads values from the GPU at {len(reads)} places ({where(first)} is the first): the host waits "
        "each time",
        proof=Proof.SOURCE,
        evidence=(Evidence("lines of the step that read from the device", reads, f"<= {most}", site["file"]),),
        location=Location.of(first),
        onset_step=0,
        fix=Fix("Add up on the device (loss.detach()), and call .item() every N steps only."),
    )


def _loop(tree: ast.Module | None, line: int) -> ast.For | ast.While | None:
    """The innermost loop that holds `line`."""
    best: ast.For | ast.While | None = None
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, (ast.For, ast.While)) and node.lineno < line <= (node.end_lineno or 0):
            best = node if best is None or node.lineno > best.lineno else best
    return best


def _always(body: list[ast.stmt]) -> Iterator[ast.Call]:
    """The calls that each round of the loop makes: not those under a condition, in an inner loop or in a function."""
    for statement in body:
        if isinstance(statement, ast.With):
            yield from _always(statement.body)
        elif not isinstance(statement, (ast.If, ast.For, ast.While, ast.FunctionDef, ast.Try)):
            yield from (node for node in ast.walk(statement) if isinstance(node, ast.Call))

"""A list of layers that is one layer several times."""

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.flow import flows
from cognate.rules.layers import is_layer
from cognate.rules.source import called
from cognate.rules.training import modules, short

HOLDERS = {"ModuleList", "Sequential"}
SOURCE = "class Net(nn.Module):\n    def __init__(self, d):\n        self.layers = nn.ModuleList({})\n"


def _case(built: str, uses: int) -> dict:
    rows = [
        {
            "w": 1,
            "i": i,
            "op": "linear",
            "p": ["layers.0.weight"],
            "in": [i - 1] if i else [],
            "shapes": [[8, 4]],
            "shape": [8, 4],
        }
        for i in range(uses)
    ]
    named = [{"name": "layers", "cls": "ModuleList"}, {"name": "layers.0", "cls": "Linear"}]
    model = {"roots": [{"cls": "Net", "modules": named, "parameters": []}]}
    return {"trace": [*rows, {"w": 1, "root": uses - 1}], "source": {"model.py": SOURCE.format(built)}, "model": model}


@rule(
    code="MODEL128",
    name="model-accidental-sharing",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"trace", "source", "model"},
    explains={"model-capacity-too-small"},
    fires=Example(**_case("[nn.Linear(d, d)] * 4", 4)),
    quiet=Example(**_case("[nn.Linear(d, d) for _ in range(4)]", 1)),
)
def model_accidental_sharing(case: Case) -> Iterator[Said]:
    """All layers of a list are the same object: `[layer] * n` repeats a reference, so the depth is one layer applied n times.

    The model trains, with a fraction of the parameters that its depth suggests. Layers that are shared on purpose (ALBERT,
    recursive models) are called in a loop or named; a list that multiplies what a constructor made is a slip.
    """
    uses: dict[str, int] = {}
    for graph in flows(case)[:1]:
        for node in graph.nodes:
            for name in node.get("p", ()) if is_layer(node) else ():
                uses[name] = uses.get(name, 0) + 1
    repeated = {name: count for name, count in uses.items() if count > 1}
    holders = [name for name, row in modules(case).items() if row.get("cls") in HOLDERS]
    for file, product in _multiplied(case):
        shared = {n: c for n, c in repeated.items() if any(n.startswith(f"{home}.0.") for home in holders)}
        if not shared:
            continue
        name = max(shared, key=lambda n: shared[n])
        yield Finding(
            title=f"{short(list(shared))} is used {shared[name]} times in a forward: the list at {file}:{product.lineno} "
            f"repeats one layer instead of making several",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence("uses of one weight in a forward", shared[name], "1", "trace.jsonl"),
                Evidence("statement", ast.unparse(product)[:120], "a list comprehension"),
            ),
            location=Location.of({"file": file, "line": product.lineno}, name.rpartition(".")[0]),
            onset_step=0,
            fix=Fix(
                "Make each layer anew: nn.ModuleList([Layer(...) for _ in range(n)]); where sharing is "
                "meant, call one layer in a loop."
            ),
        )
        return
    yield Clear(f"{len(uses)} weights of layers were traced, no list of layers repeats one object")


def _multiplied(case: Case) -> list[tuple[str, ast.BinOp]]:
    """Products of a list of constructed layers and a number, with their file."""
    found = []
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
                sides = [side for side in (node.left, node.right) if isinstance(side, (ast.List, ast.Tuple))]
                if sides and any(isinstance(item, ast.Call) and called(item)[:1].isupper() for item in sides[0].elts):
                    found.append((file, node))
    return found

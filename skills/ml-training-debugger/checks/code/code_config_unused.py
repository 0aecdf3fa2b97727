"""A hyper-parameter is accepted and never read."""

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import called
from cognate.rules.training import where

# Names whose silence changes what is trained; an unread --device or --name does not.
HYPER = [
    "lr",
    "learning_rate",
    "weight_decay",
    "wd",
    "dropout",
    "momentum",
    "warmup",
    "warmup_steps",
    "warmup_ratio",
    "clip",
    "grad_clip",
    "max_grad_norm",
    "clip_norm",
    "label_smoothing",
    "accumulation",
    "accum_steps",
    "gradient_accumulation_steps",
    "grad_accum",
    "beta",
    "gamma",
    "temperature",
    "patience",
    "seed",
    "batch_size",
]
_READ = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--weight-decay', type=float)\nargs = p.parse_args()\n"


@rule(
    code="CODE103",
    name="code-config-unused",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"source"},
    fires=Example(source={"train.py": _READ + "opt(lr=0.1)\n"}),
    quiet=Example(source={"train.py": _READ + "opt(lr=0.1, weight_decay=args.weight_decay)\n"}),
)
def code_config_unused(case: Case) -> Iterator[Said]:
    """A hyper-parameter is parsed but never read, so setting it has no effect on the training.

    The option is there, documented and printed in the report, and the code uses a constant or a default instead.
    Configurations that are passed on whole (`**vars(args)`, `asdict(cfg)`) are left alone.
    """
    options = list(_options(case))
    if not options:
        yield Skip("the script declares no hyper-parameters by argparse", "")
        return
    text = " ".join(ast.unparse(tree) for tree in case.trees.values())
    if "vars(" in text or "asdict(" in text or "__dict__" in text or "getattr(" in text:
        yield Clear("the options are passed on whole")
        return
    read = {
        n.attr for t in case.trees.values() for n in ast.walk(t) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)
    }
    idle = [(file, line, name) for file, line, name in options if name in HYPER and name not in read]
    if not idle:
        yield Clear(f"{len(options)} options, each hyper-parameter of them is read")
        return
    file, line, name = idle[0]
    site = {"file": file, "line": line}
    user = _user(case, name)
    yield Finding(
        title=f"the option --{name.replace('_', '-')} at {where(site)} is parsed but never read: setting it has no effect",
        proof=Proof.SOURCE,
        evidence=(Evidence("hyper-parameters that nothing reads", [n for _, _, n in idle], "none", "source"),),
        location=Location.of(user or site),
        fix=Fix(f"Use it where the constant stands, or remove the option: args.{name}."),
    )


OF_OPTIMIZER = ("lr", "learning_rate", "weight_decay", "wd", "momentum")


def _user(case: Case, name: str) -> dict | None:
    """The call that the value was meant for, where only one of its kind was recorded in first-party code."""
    if name in OF_OPTIMIZER:
        built = [event.get("site") for event in case.events("optimizer")]
    elif name == "batch_size":
        built = [event.get("site") for event in case.events("loader") if event.get("shuffles")]
    elif name in ("clip", "grad_clip", "max_grad_norm", "clip_norm"):
        built = [event.get("site") for event in case.events("call") if str(event["name"]).startswith("clip")]
    else:
        return None
    lines = {(site["file"], site["line"]) for site in built if site}
    return next(site for site in built if site) if len(lines) == 1 else None


def _options(case: Case) -> Iterator[tuple[str, int, str]]:
    """Options declared by argparse: (file, line, destination)."""
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and called(node) == "add_argument":
                names = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
                dest = next((k.value.value for k in node.keywords if k.arg == "dest" and isinstance(k.value, ast.Constant)), None)
                long = next((n for n in names if n.startswith("--")), names[0] if names else "")
                yield file, node.lineno, str(dest) if dest else long.lstrip("-").replace("-", "_")

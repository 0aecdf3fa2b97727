"""Runs a program unchanged with a tool attached:  python launch.py HOOK RESULT SCRIPT [ARGS]

What `sitecustomize` would do, for one process only: the hook wraps a few functions of torch, then the script runs as `__main__`.
"""

from __future__ import annotations

import importlib
import json
import runpy
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Install the hook, run the script, keep what the hook found."""
    name, result, script = sys.argv[1:4]
    sys.path[0] = str(Path(__file__).parent)
    hook = importlib.import_module(name)
    sys.path[0] = str(Path(script).resolve().parent)
    sys.argv = sys.argv[3:]

    def keep(found: dict[str, Any]) -> None:
        Path(result).write_text(json.dumps(found))

    hook.install(keep, Path(script).resolve().parent)
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        hook.end()


if __name__ == "__main__":
    main()

"""The frozen list of the corpus, with the part each program belongs to.

    python -m benchmarks.corpus.manifest [--freeze]

Without `--freeze` it only checks that `manifest.json` lists what is there. A base and all faults planted in it are in one part,
and within a style about two of five bases are in the test part. Freezing keeps the part of every program that has one already.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.corpus.materialise import PROGRAMS, fault_ids, load_fault, load_program, program_ids

MANIFEST = Path(__file__).with_name("manifest.json")
TEST_SHARE = 0.4
TRIALS = 2000


def entries() -> list[dict[str, Any]]:
    """One entry a program: healthy bases, look-alikes and faults."""
    found = []
    programs = {identity: load_program(identity) for identity in program_ids()}
    for identity, program in programs.items():
        info = program.info
        entry = {
            "id": identity,
            "kind": "look-alike" if info.get("look_alike") else "base",
            "base": identity,
            "style": info["style"],
            "domain": info["domain"],
            "modules": sum(name.endswith(".py") and not name.endswith("__init__.py") for name in program.files),
            "split": info["split"],
        }
        if info.get("look_alike"):
            entry["resembles"] = info["look_alike"]["of"]
        found.append(entry)
    for identity in fault_ids():
        fault = load_fault(identity)
        info = fault.base.info
        found.append(
            {
                "id": identity,
                "kind": "fault",
                "base": fault.base.id,
                "cause": fault.info["cause"],
                "family": family(fault.info["cause"]),
                "how": "operator" if "operator" in fault.info else "patch",
                "style": info["style"],
                "domain": info["domain"],
                "split": info["split"],
            }
        )
    return found


def family(cause: str) -> str:
    """The family of a cause, by the first word of its name."""
    return cause.split("-")[0].upper()


def split(listed: list[dict[str, Any]]) -> Mapping[str, str]:
    """A part for each base and look-alike: by style, so that as many causes as possible are met in both parts."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    causes: dict[str, set[str]] = defaultdict(set)
    for entry in listed:
        if entry["kind"] == "fault":
            causes[entry["cause"]].add(entry["base"])
        else:
            groups[entry["kind"], entry["style"]].append(entry)
    best: tuple[int, dict[str, str]] = (-1, {})
    for trial in range(TRIALS):
        dice = random.Random(trial)
        parts: dict[str, str] = {}
        for _, group in sorted(groups.items()):
            free = [entry["id"] for entry in group if entry["split"] is None]
            taken = sum(entry["split"] == "test" for entry in group)
            wanted = max(0, round(TEST_SHARE * len(group)) - taken)
            chosen = set(dice.sample(free, min(wanted, len(free))))
            parts |= {entry["id"]: entry["split"] or ("test" if entry["id"] in chosen else "dev") for entry in group}
        met = sum(len({parts[base] for base in bases}) == 2 for bases in causes.values())
        if met > best[0]:
            best = (met, parts)
    return best[1]


def freeze() -> None:
    """Give every program a part and write the manifest."""
    parts = split(entries())
    for identity, part in parts.items():
        path = PROGRAMS / identity / "program.json"
        info = json.loads(path.read_text())
        if info["split"] != part:
            info["split"] = part
            path.write_text(json.dumps(info, indent=1, ensure_ascii=False) + "\n")
    listed = entries()
    MANIFEST.write_text("[\n" + ",\n".join(json.dumps(entry) for entry in listed) + "\n]\n")
    print(f"{len(listed)} programs frozen")


def main() -> None:
    """Check or freeze."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--freeze", action="store_true")
    if parser.parse_args().freeze:
        freeze()
        return
    frozen = {entry["id"]: entry for entry in json.loads(MANIFEST.read_text())}
    present = {entry["id"]: entry for entry in entries()}
    differ = sorted(name for name in frozen.keys() | present.keys() if frozen.get(name) != present.get(name))
    for name in differ:
        print("differs:", name)
    raise SystemExit(1 if differ else 0)


if __name__ == "__main__":
    main()

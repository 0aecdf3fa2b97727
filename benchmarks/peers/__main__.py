"""Runs the peers on a materialised corpus and writes one table.

    pip install --no-deps --target FOLDER -r benchmarks/peers/requirements.txt
    python -m benchmarks.corpus.materialise --out CORPUS
    python -m benchmarks.peers --corpus CORPUS --tools FOLDER [--only NAME ...] [--sample N] [-j N] [--out FILE]

Every verdict is kept in the work folder under the program's content, the peer and its adapter: a second call only does what is
missing or has changed. --sample takes N faulty programs, evenly over the corpus, their twins, and half as many look-alikes.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache
from pathlib import Path

from benchmarks.peers import (
    autotrainer_style,
    gradsnitch_peer,
    losslint_peer,
    runmedic_peer,
    sagemaker_style,
    torchtest2_peer,
    traincheck_peer,
)
from benchmarks.peers.peer import Peer
from benchmarks.peers.table import markdown, meanings
from benchmarks.peers.verdict import Finding, Verdict
from benchmarks.peers.workshop import HERE, NotRunError, Program, Workshop, load

MODULES = (torchtest2_peer, runmedic_peer, gradsnitch_peer, losslint_peer, traincheck_peer, sagemaker_style, autotrainer_style)
PEERS: tuple[Peer, ...] = tuple(module.PEER for module in MODULES)
BEGIN, END = "<!-- measured: python -m benchmarks.peers -->", "<!-- end of measured -->"
MEANINGS = ("<!-- generated: meanings -->", "<!-- end of generated: meanings -->")


def sampled(programs: Sequence[Program], count: int) -> list[Program]:
    """`count` faulty programs at even distances, their twins, and half as many other healthy programs."""
    faulty = [program for program in programs if not program.healthy]
    chosen = _even(faulty, count)
    twins = {program.base for program in chosen}
    bases = {program.base for program in faulty}
    others = _even([program for program in programs if program.healthy and program.id not in bases], count // 2)
    return chosen + [program for program in programs if program.id in twins] + others


def _even(programs: Sequence[Program], count: int) -> list[Program]:
    count = min(count, len(programs))
    return [programs[index * len(programs) // count] for index in range(count)] if count else []


def missing(peers: Sequence[Peer], tools: Path) -> dict[str, str]:
    """Peers that are not installed, with the reason."""
    reasons = {}
    for peer in peers:
        if peer.module is None:
            continue
        installed = list(importlib.metadata.distributions(name=peer.module, path=[str(tools)]))
        version = peer.title.split()[-1]
        if not installed:
            reasons[peer.name] = f"it is not installed in {tools}"
        elif installed[0].version != version:
            reasons[peer.name] = f"{tools} holds {installed[0].version}, and the table of its findings is that of {version}"
    return reasons


@cache
def _code(peer: str) -> str:
    """A name for the adapter and for the hooks that it runs."""
    module = next(module for module in MODULES if peer == module.PEER.name)
    adapter = Path(str(module.__file__)).read_bytes()
    hooks = [path for path in sorted(HERE.glob("hooks/*_*.py")) if f'workshop.hook("{path.stem}"'.encode() in adapter]
    hooks += [HERE / "hooks" / name for name in ("launch.py", "seen.py", "tape.py") if hooks]
    return hashlib.sha256(adapter + b"".join(path.read_bytes() for path in hooks)).hexdigest()[:12]


def _content(program: Program) -> str:
    state = hashlib.sha256()
    for path in sorted(program.folder.rglob("*.py")):
        state.update(str(path.relative_to(program.folder)).encode() + path.read_bytes())
    return state.hexdigest()[:12]


def judged(program: Program, peers: Sequence[Peer], workshop: Workshop) -> dict[str, Verdict]:
    """What each peer says of one program: from the cache, or anew."""
    said = {}
    content = _content(program)
    folder = workshop.folder / program.id
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "content").is_file() and (folder / "content").read_text() != content:
        shutil.rmtree(folder)
        folder.mkdir()
    (folder / "content").write_text(content)
    for peer in peers:
        path = folder / f"verdict-{peer.name}-{_code(peer.name)}.json"
        if path.is_file():
            kept = json.loads(path.read_text())
            said[peer.name] = Verdict(**{**kept, "findings": [Finding(**one) for one in kept["findings"]]})
            continue
        try:
            verdict = peer.judge(program, workshop)
        except NotRunError as error:
            verdict = Verdict("not run", reason=str(error))
        except Exception as error:  # one program must not end the whole run; it is tried again the next time
            said[peer.name] = Verdict("not run", reason=f"the adapter failed with {type(error).__name__}")
            print(f"{program.id}, {peer.name}: {error!r}", file=sys.stderr)
            continue
        path.write_text(json.dumps(asdict(verdict)))
        said[peer.name] = verdict
    for copy in ("torchtest2_preflight", "gradsnitch_watch", "recorded"):
        shutil.rmtree(folder / copy, ignore_errors=True)
    return said


def into(path: Path, table: str, begin: str = BEGIN, end: str = END) -> None:
    """Writes the table, into the marked block where the file has one."""
    text = path.read_text() if path.is_file() else ""
    if begin in text and end in text:
        head, tail = text.split(begin)[0], text.split(end)[1]
        path.write_text(f"{head}{begin}\n{table}{end}{tail}")
    else:
        path.write_text(table)


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, help="what benchmarks.corpus.materialise wrote")
    parser.add_argument("--tools", type=Path, default=Path(tempfile.gettempdir()) / "cognate-peers" / "tools")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "cognate-peers" / "work")
    parser.add_argument("--only", nargs="+", choices=[peer.name for peer in PEERS], help="these peers; default: all")
    parser.add_argument("--programs", nargs="+", help="these programs")
    parser.add_argument("--sample", type=int, help="this many faulty programs, their twins and some look-alikes")
    parser.add_argument("-j", type=int, default=1, help="programs at a time")
    parser.add_argument("--out", type=Path, help="a file for the table; its marked block where it has one")
    arguments = parser.parse_args()

    corpus = load(arguments.corpus)
    programs = [corpus[name] for name in arguments.programs] if arguments.programs else list(corpus.values())
    if arguments.sample:
        programs = sampled(programs, arguments.sample)
    peers = [peer for peer in PEERS if not arguments.only or peer.name in arguments.only]
    absent = missing(peers, arguments.tools)
    present = [peer for peer in peers if peer.name not in absent]
    workshop = Workshop(arguments.tools.resolve(), arguments.work.resolve(), corpus)
    verdicts: dict[str, dict[str, Verdict]] = {peer.name: {} for peer in peers}
    with ThreadPoolExecutor(arguments.j) as pool:
        for number, (program, said) in enumerate(
            zip(programs, pool.map(lambda one: judged(one, present, workshop), programs), strict=True), 1
        ):
            for name, verdict in said.items():
                verdicts[name][program.id] = verdict
            print(f"{number}/{len(programs)} {program.id}", file=sys.stderr)
    table = markdown(peers, programs, verdicts, absent)
    print(table)
    if arguments.out:
        into(arguments.out, table)
        if MEANINGS[0] in arguments.out.read_text():
            into(arguments.out, meanings(PEERS), *MEANINGS)


if __name__ == "__main__":
    main()

"""From a source's name to its documents: files, folders, globs and the Hugging Face hub."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice, takewhile
from pathlib import Path

from cognate.errors import UsageError
from cognate.train.data import fields, files, hub
from cognate.train.data.document import BadRows, DataOptions, Document, Reading, Record

PEEK = 100  # rows whose field names are looked at before the mapping is chosen
PARTS = {  # names that mark a file or folder as a part of the data
    "train": re.compile(r"train(ing)?(?![a-z])", re.IGNORECASE),
    "validation": re.compile(r"(valid(ation)?|val|dev|eval)(?![a-z])", re.IGNORECASE),
    "test": re.compile(r"test(ing)?(?![a-z])", re.IGNORECASE),
}


def read(options: DataOptions) -> Reading:
    """The documents of a file, folder, glob or hub data set.

    Raises UsageError where the source does not exist, holds no rows, or has no row that can be used.
    """
    if options.source.startswith("hf:"):
        parts = hub.parts(options.source)
        train, held_out, facts = parts.train, parts.validation, parts.facts
    else:
        root, paths, ignored = _files(options.source)
        chosen = _parts(root, paths)
        train = chain.from_iterable(files.read(path) for path in chosen["train"])
        held_out = chain.from_iterable(files.read(path) for path in chosen["validation"]) if chosen["validation"] else None
        facts = {"files": [str(path) for path in chosen["train"] + chosen["validation"]]}
        facts |= {"validation_files": [str(path) for path in chosen["validation"]]} if held_out is not None else {}
        facts |= {"set_aside": [str(path) for path in chosen["test"]]} if chosen["test"] else {}
        facts |= {"ignored_files": ignored} if ignored else {}
    return _reading(options, train, held_out, facts)


def _reading(
    options: DataOptions, train: Iterable[Record], held_out: Iterable[Record] | None, facts: dict[str, object]
) -> Reading:
    records = islice(train, options.limit)
    first = list(islice(records, PEEK))
    names = list(dict.fromkeys(name for record in first if isinstance(record.row, dict) for name in record.row))
    if not first:
        raise UsageError(f"{options.source} holds no rows: give a source with at least two.")
    bad = BadRows()
    mapping = _mapping(options, first, names)
    documents = list(_documents(chain(first, records), mapping, bad))
    if not documents:
        raise UsageError(
            f"None of the {bad.count} rows of {options.source} can be used ({bad.named[0]['where']}: {bad.named[0]['reason']}; "
            f"fields seen: {', '.join(names) or 'none'}): name them with --text-field, or with --prompt-field and --answer-field."
        )
    held = None if held_out is None else list(_documents(islice(held_out, options.limit), mapping, bad))
    facts |= {
        "rows": len(documents) + len(held or ()) + bad.count,
        "fields": mapping.facts(),
        "bad_rows_count": bad.count,
        "bad_rows_by_reason": dict(bad.reasons.most_common()),
        "bad_rows": bad.named,
    }
    return Reading(documents, held, facts)


def _mapping(options: DataOptions, first: list[Record], names: list[str]) -> fields.Fields:
    if names:
        return fields.choose(options, names)
    # No row with fields among the first: plain text, or rows that are all unreadable and will be reported as such.
    return fields.Fields(text=options.text_field or "text", prompt=options.prompt_field, answer=options.answer_field)


def _documents(records: Iterable[Record], mapping: fields.Fields, bad: BadRows) -> Iterator[Document]:
    for record in records:
        document = fields.document(record, mapping)
        if isinstance(document, Document):
            yield document
        else:
            bad.add(record.where, document)


def _files(source: str) -> tuple[Path, list[Path], list[str]]:
    """The folder that names are relative to, the files that can be read, and the names of those that cannot."""
    path = Path(source)
    if path.is_file():
        return path.parent, [path], []
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file() and not _hidden(file.relative_to(path)))
        root = path
    elif glob.has_magic(source):
        matches = glob.glob(source, recursive=True)  # noqa: PTH207  Path.glob takes no absolute patterns
        found = sorted(Path(match) for match in matches if Path(match).is_file())
        # Only what the pattern leaves open may mark a part: /data/test_set/*.jsonl is no test part.
        root = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
    else:
        raise UsageError(
            f"There is no data at {source}: give synthetic, arithmetic, a file ({', '.join(files.READERS)}), "
            "a folder, a glob, or hf:NAME."
        )
    readable = [file for file in found if file.suffix.lower() in files.READERS]
    if not readable:
        raise UsageError(f"{source} matches no file that can be read: {', '.join(files.READERS)} are.")
    return root, readable, [str(file) for file in found if file.suffix.lower() not in files.READERS]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _parts(root: Path, paths: list[Path]) -> dict[str, list[Path]]:
    """Files by part. Test files validate only where no others do, and are set aside otherwise: they are for the end."""
    parts: dict[str, list[Path]] = {"train": [], "validation": [], "test": []}
    for path in paths:
        parts[_part(path.relative_to(root) if path.is_relative_to(root) else path)].append(path)
    if not parts["train"] or len(paths) == 1:
        return {"train": paths, "validation": [], "test": []}
    if not parts["validation"]:
        parts["validation"], parts["test"] = parts["test"], []
    return parts


def _part(path: Path) -> str:
    """The part that the file's own name says, else its nearest folder's; whatever says nothing is for training."""
    for name in reversed(path.parts):
        for part, pattern in PARTS.items():
            if pattern.match(name):
                return part
    return "train"

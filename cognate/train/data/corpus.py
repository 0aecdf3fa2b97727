"""From a source's name to rows of tokens: read, split, tokenise, pack; and every decision on the way as a fact."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cognate.errors import UsageError
from cognate.train.data import arithmetic, encode, packing, sources, synthetic
from cognate.train.data.answers import Problem, final_answer, problems, same_answer
from cognate.train.data.document import DataOptions, Document
from cognate.train.data.fields import SEPARATOR
from cognate.train.data.packing import Rows
from cognate.train.data.split import split
from cognate.train.data.tokenizer import end_of, obtain, pad_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Corpus", "DataOptions", "Problem", "Rows", "final_answer", "load", "same_answer"]


@dataclass
class Corpus:
    """Data that is ready to train on. `facts` is plain JSON for the report."""

    train: Rows
    validation: Rows
    tokenizer: Tokenizer | None  # None where the tokens are drawn at random
    vocabulary: int  # the rows that an embedding needs at least
    facts: dict[str, Any]
    problems: tuple[Problem, ...] = ()  # held out, with an answer that can be checked
    end: int | None = None  # the token that generation stops at
    pad: int = 0  # fills up rows; neither scored nor attended to
    separator: str = ""  # follows a prompt, where the documents are prompts with answers

    def digest(self) -> str:
        """Of everything that is trained on, in its order: two corpora with the same digest train alike."""
        return hashlib.sha256(self.train.planes.numpy().tobytes()).hexdigest()


def load(options: DataOptions, vocabulary: int | None) -> Corpus:
    """The corpus that the options describe, for a model of `vocabulary` tokens (None: the data decides).

    Raises UsageError where the source cannot be read or is empty, where nothing would be left to train or to validate on, and
    where the tokenizer does not fit the model.
    """
    if options.source == "synthetic":
        return _synthetic(options, vocabulary)
    reading = arithmetic.read(options) if options.source.partition(":")[0] == "arithmetic" else sources.read(options)
    sides = split(reading.documents, reading.held_out, options.validation, options.source)
    tokenizer, about_tokenizer = obtain(options.tokenizer, sides.train, vocabulary)
    pad = pad_of(tokenizer)
    facts: dict[str, Any] = {"source": options.source, **reading.facts, "split_by": sides.facts, "tokenizer": about_tokenizer}
    train, facts["train"], _ = _side(options, tokenizer, sides.train, pad, "train on")
    validation, facts["validation"], kept = _side(options, tokenizer, sides.validation, pad, "validate on")
    held_out = problems(kept)
    facts["problems"] = len(held_out)
    separator = SEPARATOR if any(document.prompt is not None for document in sides.train) else ""
    return Corpus(train, validation, tokenizer, about_tokenizer["vocabulary"], facts, held_out, end_of(tokenizer), pad, separator)


def _side(
    options: DataOptions, tokenizer: Tokenizer, documents: list[Document], pad: int, purpose: str
) -> tuple[Rows, dict[str, Any], list[Document]]:
    """Rows of one side, what there is to say about them, and the documents that they hold."""
    encoded = encode.encode(documents, tokenizer, options.sequence)
    if not encoded.kept:
        first = encoded.left_out.named[0]
        raise UsageError(
            f"{options.source} leaves nothing to {purpose}: none of its {encoded.left_out.count} documents can be used "
            f"({first['where']}: {first['reason']}; the longest has {encoded.longest} tokens): "
            "give a longer --sequence or other data."
        )
    rows = packing.rows(encoded, options.sequence, pad, options.pack)
    facts = encoded.facts() | {"rows": len(rows), "packed": options.pack, "packing_efficiency": packing.efficiency(encoded, rows)}
    return rows, facts, encoded.kept


def _synthetic(options: DataOptions, vocabulary: int | None) -> Corpus:
    train, validation, removed = synthetic.generate(options, vocabulary)
    facts: dict[str, Any] = {"source": options.source, "rows": len(train) + len(validation), "bad_rows_count": 0, "bad_rows": []}
    share = len(validation) / (len(train) + len(validation))
    facts["split_by"] = {"method": "by number", "share": share, "overlap_removed": removed, "overlap": []}
    for name, rows in (("train", train), ("validation", validation)):
        facts[name] = {"rows": len(rows), "tokens": rows.planes[0].numel(), "scored_tokens": sum(rows.scored)}
    return Corpus(train, validation, None, vocabulary or 0, facts)

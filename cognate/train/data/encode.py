"""Documents to one flat array of tokens, each with the token that is to be predicted after it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cognate.train.batch import IGNORED
from cognate.train.data.document import BadRows, Document
from cognate.train.data.tokenizer import end_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CHUNK = 10_000  # documents handed to the tokenizer at a time: enough to keep its threads busy, few enough for the memory


@dataclass
class Encoded:
    """P pieces of at most `sequence` tokens, one after the other. A piece is a document, or a part of a text that is longer."""

    tokens: NDArray[np.int32]  # (N,)
    targets: NDArray[np.int32]  # (N,): the next token of the document, its end after the last, IGNORED in prompts
    lengths: NDArray[np.int64]  # (P,)
    kept: list[Document] = field(default_factory=list)  # the documents that the pieces hold
    left_out: BadRows = field(default_factory=BadRows)  # those that do not fit
    longest: int = 0  # tokens of the longest document, left out or not

    def facts(self) -> dict[str, Any]:
        """Counts for the report."""
        return {
            "documents": len(self.kept),
            "pieces": len(self.lengths),
            "tokens": len(self.tokens),
            "scored_tokens": int((self.targets != IGNORED).sum()),
            "longest_document": self.longest,
            "left_out_count": self.left_out.count,
            "left_out": self.left_out.named,
        }


def encode(documents: Sequence[Document], tokenizer: Tokenizer, sequence: int) -> Encoded:
    """Tokens and targets of the documents, in their order.

    A plain text longer than `sequence` becomes several pieces and loses no token. A prompt with an answer that does not fit is
    left out and named: cut, it would teach an answer without its question.
    """
    flat = array("i")
    lengths: list[int] = []
    prompts: list[int] = []
    encoded = Encoded(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.int64))
    for start in range(0, len(documents), CHUNK):
        chunk = documents[start : start + CHUNK]
        texts = tokenizer.encode_batch_fast([document.text for document in chunk], add_special_tokens=False)
        asked = [document.prompt for document in chunk if document.prompt is not None]
        questions = iter(tokenizer.encode_batch_fast(asked, add_special_tokens=False))
        for document, text in zip(chunk, texts, strict=True):
            # Prompt and answer are encoded apart, as they are when the answer is generated.
            prompt = [] if document.prompt is None else next(questions).ids
            ids = prompt + text.ids
            encoded.longest = max(encoded.longest, len(ids))
            if not text.ids:
                encoded.left_out.add(document.where, "the tokenizer finds no token in it")
            elif document.prompt is not None and len(ids) > sequence:
                encoded.left_out.add(document.where, f"prompt and answer do not fit into {sequence} tokens")
            else:
                flat.extend(ids)
                lengths.append(len(ids))
                prompts.append(len(prompt))
                encoded.kept.append(document)
    if lengths:
        encoded.tokens = np.array(flat, dtype=np.int32)
        encoded.targets = _targets(encoded.tokens, np.array(lengths), np.array(prompts), end_of(tokenizer))
        encoded.lengths = np.array([piece for length in lengths for piece in _pieces(length, sequence)], dtype=np.int64)
    return encoded


def _targets(tokens: NDArray[np.int32], lengths: NDArray[np.int64], prompts: NDArray[np.int64], end: int) -> NDArray[np.int32]:
    """The token that follows each token in its document; the prompt's last token predicts the answer's first."""
    ends = np.cumsum(lengths)
    targets = np.empty_like(tokens)
    targets[:-1] = tokens[1:]
    targets[ends - 1] = end
    within = np.arange(len(tokens)) - np.repeat(ends - lengths, lengths)
    targets[within < np.repeat(prompts - 1, lengths)] = IGNORED
    return targets


def _pieces(length: int, sequence: int) -> list[int]:
    full, rest = divmod(length, sequence)
    return [sequence] * full + [rest] * (rest > 0)

"""Text to tokens: a tokenizer from a file or the cache, or byte-level BPE learnt from the training documents alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cognate.errors import UsageError
from cognate.train.data import hub
from cognate.train.data.document import Document

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END = "<|end|>"
PAD = "<|pad|>"
# What other families call the end of a document, the commonest first.
ENDS = (END, "<|endoftext|>", "</s>", "<eos>", "<|end_of_text|>", "<|im_end|>", "[SEP]")
PADS = (PAD, "<pad>", "[PAD]")
BYTES = 256
VOCABULARY = 4_096  # of a tokenizer that is learnt while the model's size is still open
LEARNT_CHARACTERS = (
    4_000  # of text read for each token of the vocabulary: rarer strings would not earn a token, and reading takes time
)


def obtain(name: str | None, documents: Sequence[Document], vocabulary: int | None) -> tuple[Tokenizer, dict[str, Any]]:
    """The tokenizer `name` (a file, or a repository of the hub), or one learnt from `documents`; and how it came about.

    Raises UsageError where it cannot be found or read, or where it does not fit the model's `vocabulary` (None: any size does).
    """
    facts: dict[str, Any] = {}
    if name is None:
        tokenizer = learn(documents, vocabulary or VOCABULARY)
        facts["origin"] = "byte-level BPE learnt from the training documents"
    else:
        tokenizer, facts["origin"] = _find(name)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        if _first(tokenizer, ENDS) is None:
            _add_end(tokenizer, name)
            facts["added"] = [END]
    size = size_of(tokenizer)
    if vocabulary is not None and size > vocabulary:
        raise UsageError(
            f"The tokenizer {name or 'learnt here'} has {size:,} tokens and the model's vocabulary only {vocabulary:,}: "
            f"give the model a vocabulary of at least {size:,}, or use a smaller tokenizer."
        )
    # A text that spells out "<|end|>" must not end a document: it is encoded letter by letter.
    tokenizer.encode_special_tokens = True
    return tokenizer, facts | {"vocabulary": size, "end": tokenizer.id_to_token(end_of(tokenizer))}


def _add_end(tokenizer: Tokenizer, name: str) -> None:
    taken = set(tokenizer.get_vocab().values())
    tokenizer.add_special_tokens([END])
    if tokenizer.token_to_id(END) in taken:  # the library numbers a new token by the count of the others
        raise UsageError(
            f"The ids of {name} have gaps, so that no end of a document can be added: add the token {END} to the file."
        )


def learn(documents: Sequence[Document], vocabulary: int) -> Tokenizer:
    """Byte-level BPE of at most `vocabulary` tokens, fewer where the documents do not hold that many.

    Each digit is a token of its own, so that numbers of equal length look alike and arithmetic can be learnt digit by digit.
    Raises UsageError where the vocabulary cannot hold the bytes and the special tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if vocabulary < BYTES + 2:
        raise UsageError(
            f"A vocabulary of {vocabulary} cannot hold the {BYTES} bytes and the two special tokens of byte-level BPE: "
            f"give the model at least {BYTES + 2}."
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(documents, LEARNT_CHARACTERS * vocabulary), trainer)
    return tokenizer


def _texts(documents: Sequence[Document], characters: int) -> Iterator[str]:
    for document in documents:
        text = (document.prompt or "") + document.text
        yield text
        characters -= len(text)
        if characters <= 0:
            return


def _find(name: str) -> tuple[Tokenizer, str]:
    path = Path(name)
    if path.is_dir():
        path = path / "tokenizer.json"
    if path.exists() or path.suffix == ".json":
        return _read(path), f"the file {path}"
    return _read(Path(hub.file(name, "tokenizer.json"))), f"{name} of the Hugging Face hub"


def _read(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The tokenizer {path} cannot be read ({error.strerror}): give an existing tokenizer.json.") from error
    except Exception as error:  # the library raises bare Exceptions for malformed files
        raise UsageError(
            f"{path} is no tokenizer that the `tokenizers` library can load ({error}): give a tokenizer.json."
        ) from error


def size_of(tokenizer: Tokenizer) -> int:
    """The rows that an embedding needs: one more than the largest id, for the ids of some vocabularies have gaps."""
    return max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1


def end_of(tokenizer: Tokenizer) -> int:
    """The id that ends a document, which is where generation stops. Raises UsageError where the tokenizer has none."""
    end = _first(tokenizer, ENDS)
    if end is None:
        raise UsageError(f"The tokenizer has no token that ends a document: add one of {', '.join(ENDS)}.")
    return end


def pad_of(tokenizer: Tokenizer) -> int:
    """The id that fills up rows. It is neither scored nor attended to, so the end token serves where there is none."""
    pad = _first(tokenizer, PADS)
    return end_of(tokenizer) if pad is None else pad


def _first(tokenizer: Tokenizer, names: Sequence[str]) -> int | None:
    return next((index for name in names if (index := tokenizer.token_to_id(name)) is not None), None)

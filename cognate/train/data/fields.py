"""Which fields of a row hold the text, or the prompt and its answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cognate.errors import UsageError
from cognate.train.data.document import DataOptions, Document, Record, normalise

SEPARATOR = "\n"  # stands between a prompt and its answer, in training and when generating
# Names that public data sets use. Pairs come first: a set that has both usually repeats the pair inside its text.
PAIRS = (
    ("question", "answer"),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("problem", "solution"),
    ("problem", "answer"),
)
TEXTS = ("text", "content")
CONTEXT = {"instruction": "input"}  # Alpaca's rows keep what the instruction is about in a field of its own


@dataclass(frozen=True)
class Fields:
    """The fields in use: `text` alone, or `prompt` and `answer` with an optional `context` that follows the prompt."""

    text: str | None = None
    prompt: str | None = None
    answer: str | None = None
    context: str | None = None
    detected: bool = False

    def facts(self) -> dict[str, Any]:
        """The mapping for the report: the names in use, and whether they were given or detected."""
        names = {"text": self.text, "prompt": self.prompt, "context": self.context, "answer": self.answer}
        return {key: name for key, name in names.items() if name} | {"detected": self.detected}


def choose(options: DataOptions, seen: Iterable[str]) -> Fields:
    """The fields that the options name, else the first common names among those `seen`.

    Half a named pair is completed from the pairs that are known. Raises UsageError where no field can be chosen.
    """
    names = list(dict.fromkeys(seen))
    if options.text_field:
        return Fields(text=options.text_field)
    if options.prompt_field and options.answer_field:
        return Fields(prompt=options.prompt_field, answer=options.answer_field)
    for prompt, answer in PAIRS:
        agrees = options.prompt_field in (None, prompt) and options.answer_field in (None, answer)
        if agrees and prompt in names and answer in names:
            context = CONTEXT.get(prompt)
            return Fields(prompt=prompt, answer=answer, context=context if context in names else None, detected=True)
    if not (options.prompt_field or options.answer_field):
        for text in TEXTS:
            if text in names:
                return Fields(text=text, detected=True)
    raise UsageError(
        f"No field of {options.source} is known to hold text (seen: {', '.join(names) or 'none'}): "
        "name it with --text-field NAME, or with --prompt-field NAME and --answer-field NAME."
    )


def document(record: Record, fields: Fields) -> Document | str:
    """The document that a row holds, or the reason why it holds none."""
    if record.row is None:
        return record.fault
    if isinstance(record.row, str):
        if fields.prompt:
            return f"plain text has no field {fields.prompt!r}"
        values: dict[str, Any] = {"text": record.row}
        wanted: list[str] = ["text"]
    else:
        values = dict(record.row)
        wanted = [name for name in (fields.text, fields.prompt, fields.answer) if name]
        if fields.context and values.get(fields.context) not in (None, ""):
            wanted.append(fields.context)
    for name in wanted:
        reason = _fault(values, name)
        if reason:
            return reason
    if fields.prompt is None:
        text = values[wanted[0]]
        return Document(text, record.where, keys=(normalise(text),))
    prompt = SEPARATOR.join(values[name] for name in (fields.prompt, fields.context) if name in wanted)
    # Equal questions fall on one side whatever their answers: a held-out question must be new.
    return Document(values[fields.answer or ""], record.where, prompt + SEPARATOR, keys=(normalise(prompt),))


def _fault(values: dict[str, Any], name: str) -> str:
    if values.get(name) is None:
        return f"field {name!r} is missing"
    value = values[name]
    if not isinstance(value, str):
        return f"field {name!r} holds {type(value).__name__}, not text"
    if not value.strip():
        return f"field {name!r} is empty"
    try:
        value.encode()
    except UnicodeEncodeError:  # lone surrogates: undecodable bytes that a reader passed on, or a broken \\u escape
        return f"field {name!r} is not valid Unicode"
    return ""

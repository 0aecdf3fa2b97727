"""`cognate generate`: decode from a trained reference model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cognate.cli.common import examples, existing
from cognate.cli.train import check_installed
from cognate.errors import UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command(
        "generate",
        epilog=examples(
            "cognate generate runs/train-20261124-101500 --prompt 'Ann has 12 pens and buys 7 more. How many has she?'",
            "cognate generate runs/train-20261124-101500/checkpoints/step-001000 --prompt 'Once' --temperature 0.8 --seed 3",
            "echo 'Ann has 12 pens …' | cognate generate runs/train-20261124-101500",
        ),
    )(generate)


def generate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run of `cognate train`, or one of its checkpoints.")],
    prompt: Annotated[str | None, typer.Option(help="The text to continue; default: standard input.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Tokens at most.")] = 128,
    temperature: Annotated[float, typer.Option(min=0, help="0 takes the most probable token.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the draws at a temperature above 0.")] = 0,
    threshold: Annotated[
        float | None, typer.Option(min=0, help="Halting threshold; above 1 every token takes all steps. Default: the model's.")
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object in place of text.")] = False,
) -> None:
    """Continue a prompt by a trained model, with halting on.

    The text goes to stdout; tokens per second and the answers (recursion steps) that they took go to stderr.
    """
    check_installed()
    existing(run)
    text = sys.stdin.read().rstrip("\n") if prompt is None else prompt
    model, tokenizer, end, separator = _restored(run)
    ids = tokenizer.encode(text + separator, add_special_tokens=False).ids
    if not 0 < len(ids) < model.config.positions:
        raise UsageError(
            f"A prompt of {len(ids)} tokens cannot be continued: give one of 1 to {model.config.positions - 1} tokens."
        )
    tokens, used, seconds = _decode(model, tokenizer, ids, end, limit, temperature, seed, threshold, not json_lines)
    mean = sum(used) / len(used)
    if json_lines:
        facts = {"prompt": text, "text": tokenizer.decode(tokens), "tokens": len(used), "seconds": round(seconds, 4)}
        print(
            json.dumps(
                {**facts, "tokens_per_second": round(len(used) / seconds, 1), "answers_used": used, "mean_answers_used": mean}
            )
        )
        return
    print()
    print(
        f"{len(used)} tokens, {len(used) / seconds:,.0f} tokens/s; {mean:.2f} of {model.config.answers} answers a token",
        file=sys.stderr,
    )


def _restored(run: Path) -> tuple[Any, Tokenizer, int, str]:
    """Model, tokenizer, end token, and what follows a prompt. Raises CognateError where the run holds no such."""
    from tokenizers import Tokenizer

    from cognate.model.model import CognateModel
    from cognate.train import checkpoint
    from cognate.train.data.tokenizer import end_of
    from cognate.train.execute import CORPUS, TOKENIZER
    from cognate.train.job import FILE, Job

    folder = checkpoint.pointed_at(run, "best") or checkpoint.latest(run)
    found = checkpoint.load(folder)
    job = Job.from_json(found.read(FILE), folder / FILE)
    if not (folder / TOKENIZER).is_file():
        raise UsageError(f"{run} was trained on {job.data.source} tokens, which are no text: there is nothing to generate.")
    model = CognateModel(job.model)
    found.into(model)
    tokenizer = Tokenizer.from_str(found.read(TOKENIZER).decode())
    tokenizer.encode_special_tokens = True  # a prompt that spells an end token does not end
    return model.eval(), tokenizer, end_of(tokenizer), json.loads(found.read(CORPUS))["separator"]


def _decode(
    model: Any,
    tokenizer: Tokenizer,
    ids: list[int],
    end: int,
    limit: int,
    temperature: float,
    seed: int,
    threshold: float | None,
    shown: bool,
) -> tuple[list[int], list[int], float]:
    """Generated tokens without the end, answers used, seconds; printed as they come where `shown`."""
    import time

    import torch

    from cognate.train.generation import decoding

    tokens: list[int] = []
    used: list[int] = []
    printed = ""
    started = time.perf_counter()
    generators = [torch.Generator().manual_seed(seed)]
    for chosen, answers in decoding(model, torch.tensor([ids]), generators, limit, temperature, threshold):
        used += answers
        if chosen[0] == end:
            break
        tokens += chosen
        if shown:
            text = tokenizer.decode(tokens)
            # A character of several bytes is shown when its last byte has come.
            if not text.endswith("\ufffd"):
                print(text[len(printed) :], end="", flush=True)
                printed = text
    return tokens, used, time.perf_counter() - started

"""Prompts: reading them, cutting them where thinking begins, checking that they fit."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

from coconut_lab.model.coconut import Coconut
from coconut_lab.model.outputs import ModelError


def read_prompts(prompts: Sequence[Sequence[int]], model: Coconut) -> list[list[int]]:
    """Read prompts as lists of token ids that the model can go on from."""
    size = len(model.language_model.get_input_embeddings().weight)
    read = []
    several: Any = prompts if hasattr(prompts, "__iter__") else [prompts]
    for index, prompt in enumerate(several):
        try:
            ids = [token.__index__() for token in prompt]
        except (AttributeError, TypeError):
            raise ModelError(
                f"prompt {index} is {reprlib.repr(prompt)}; give a list of prompts, each a list of "
                "token ids, as Curriculum.prompt or tokenizer(text).input_ids make it"
            ) from None
        if not ids:
            raise ModelError(f"prompt {index} is empty; it needs at least one token")
        if not 0 <= min(ids) <= max(ids) < size:
            wrong = next(token for token in ids if not 0 <= token < size)
            raise ModelError(
                f"prompt {index} has the token {wrong}, but the model has 0 to {size - 1}; "
                "was it made with the tokenizer of another model?"
            )
        if ids[0] == model.tokens.thought:
            raise ModelError(
                f"prompt {index} starts with <thought>, so there is no hidden state to feed back; "
                "a thought follows <bot>"
            )
        read.append(ids)
    if not read:
        raise ModelError("there is nothing to generate from: the list of prompts is empty")
    return read


def split_prompt(prompt: Sequence[int], model: Coconut, index: int = 0) -> tuple[list, list]:
    """Cut a prompt where a halting rule takes over."""
    tokens, prompt = model.tokens, list(prompt)
    if tokens.bot not in prompt:
        raise ModelError(
            f"prompt {index} has no <bot>, so a halting rule does not know where thinking begins; "
            "use a method with markers, or leave halting out"
        )
    start = len(prompt) - prompt[::-1].index(tokens.bot)
    tail = prompt[start:]
    while tail and tail[0] == tokens.thought:
        del tail[0]
    if tail and tail[0] != tokens.eot:
        word = model.tokenizer.convert_ids_to_tokens(tail[0])
        raise ModelError(
            f"prompt {index} has {word!r} after <bot>; with a halting rule only placeholders and "
            "then <eot> may follow it"
        )
    return prompt[:start], tail or [tokens.eot]


def check_positions(
    model: Coconut, needed: Sequence[int], max_thoughts: int, max_new_tokens: int
) -> None:
    """Make sure, before any work is done, that the model has the positions that prompts need."""
    limit = model.positions
    if limit is not None and max(needed) > limit:
        row = needed.index(max(needed))
        thoughts = f", up to {max_thoughts} thoughts" if max_thoughts else ""
        raise ModelError(
            f"prompt {row}{thoughts} and {max_new_tokens} new tokens need {max(needed)} positions "
            f"but the model has {limit}; shorten the prompt or lower max_new_tokens"
        )

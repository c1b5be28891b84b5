"""The check of 05's exercise 2: write behind the thoughts, with the cache that they are in."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from coconut_lab.checks.base import (
    CheckFailed,
    Function,
    Mistake,
    call,
    compare,
    parts,
    passed,
    tensor,
)
from coconut_lab.checks.effort import counted
from coconut_lab.checks.models import (
    EOT,
    Batch,
    columns_of,
    one_pass,
    padded_batch,
    random_models,
    unroll,
)

WRITTEN = 4


@torch.no_grad()
def write_on(function: Function) -> None:
    """Check exercise 2: write behind the thoughts, with the cache that they are in.

    Args:
        function: `(language_model, cache, hidden (B, d), attention_mask (B, T), position_ids
            (B, T), count)` to tokens (B, count) and logits (B, count, V).

    Raises:
        CheckFailed: what is wrong.
    """
    name = "write_on"
    for model in random_models():
        for thoughts in (2, 0):
            batch = padded_batch(thoughts)
            mask, positions = batch["attention_mask"], batch["position_ids"]
            cache, hidden = _prefix(model, batch)
            with counted(model) as passes:
                value = call(name, function, model, copy.deepcopy(cache), hidden, mask.clone(),
                             positions.clone(), WRITTEN)  # fmt: skip
            tokens, logits = parts(name, value, ("tokens", "logits"))
            tokens, logits = tensor(name, "tokens", tokens), tensor(name, "logits", logits)
            want = _written(model, batch)
            mistakes = _writing_mistakes(model, cache, hidden, batch)
            compare(name, {"logits": logits}, {"logits": want}, mistakes, " = (B, count, V)")
            if tokens.shape != want.shape[:2] or not torch.equal(tokens, want.argmax(-1)):
                raise CheckFailed(
                    f"{name}: the logits are right, but the tokens are not their argmax, (B, "
                    "count) int64."
                )
            if sum(passes) > WRITTEN:
                raise CheckFailed(
                    f"{name}: the values are right, but {sum(passes)} columns went through the "
                    f"model ({' + '.join(map(str, passes))}). What is in the cache need not go in "
                    "again: one column per token."
                )
            if sum(passes) == WRITTEN:
                raise CheckFailed(
                    f"{name}: the values are right, but you run the model once more after the "
                    f"last token. {WRITTEN} tokens take {WRITTEN - 1} passes: the first one comes "
                    "from the hidden state that you were given."
                )
    passed(name, "padded rows write the right tokens, one column per pass, behind one cache")


def _prefix(model: Any, batch: Batch) -> tuple[DynamicCache, Tensor]:
    """The cache after thinking, and the last hidden state (B, d)."""
    cache = DynamicCache(config=model.config)
    ids, embeds = batch["input_ids"], model.get_input_embeddings()(batch["input_ids"])
    hidden: Tensor | None = None
    for start, stop in pairwise([0, *columns_of(ids), ids.shape[1]]):
        inputs = embeds[:, start:stop]
        if hidden is not None:
            inputs = torch.cat([hidden[:, None], inputs[:, 1:]], dim=1)
        hidden = model.base_model(
            inputs_embeds=inputs, attention_mask=batch["attention_mask"][:, :stop],
            position_ids=batch["position_ids"][:, start:stop], past_key_values=cache,
            use_cache=True,
        ).last_hidden_state[:, -1]  # fmt: skip
    assert hidden is not None
    return cache, hidden


def _written(model: Any, batch: Batch) -> Tensor:
    """The logits (B, count, V) of greedy writing, everything recomputed for every token."""
    embed = model.get_input_embeddings()
    _, thoughts = unroll(model, batch["input_ids"], batch)
    inputs = embed(batch["input_ids"])
    for column, thought in zip(columns_of(batch["input_ids"]), thoughts, strict=True):
        inputs = torch.cat([inputs[:, :column], thought[:, None], inputs[:, column + 1 :]], dim=1)
    extra = {key: batch[key] for key in ("attention_mask", "position_ids")}
    found: list[Tensor] = []
    for _ in range(WRITTEN):
        found.append(one_pass(model, inputs, extra).logits[:, -1])
        inputs = torch.cat([inputs, embed(found[-1].argmax(-1))[:, None]], dim=1)
        mask, positions = extra["attention_mask"], extra["position_ids"]
        extra = {
            "attention_mask": torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1),
            "position_ids": torch.cat([positions, positions[:, -1:] + 1], dim=1),
        }
    return torch.stack(found, dim=1)


Given = Callable[[Tensor, int], Tensor | None]


def extended(mask: Tensor, step: int) -> Tensor:
    """A mask with so many more columns that count."""
    return torch.cat([mask, mask.new_ones(len(mask), step)], dim=1)


def next_positions(positions: Tensor, step: int) -> Tensor:
    """The position of the column so many steps behind the last one, (B, 1)."""
    return positions[:, -1:] + step


def _write_badly(
    model: Any,
    cache: Any,
    hidden: Tensor,
    batch: Batch,
    mask: Given = extended,
    positions: Given = next_positions,
    first: int | None = None,
    count: int = WRITTEN,
) -> dict[str, Tensor]:
    """Write with a cache, or with one of the mistakes that it invites.

    Args:
        model, cache, hidden, batch: what the learner was given.
        mask: which mask pass number `step`, from 1, gets.
        positions: which positions it gets.
        first: a token that goes in before the first is chosen.
        count: how many tokens.
    """
    cache = copy.deepcopy(cache)
    found: list[Tensor] = []
    step = 0
    token: Tensor | None = None if first is None else torch.full((len(hidden),), first)
    while len(found) < count:
        if token is not None:
            step += 1
            hidden = model.base_model(
                inputs_embeds=model.get_input_embeddings()(token)[:, None],
                attention_mask=mask(batch["attention_mask"], step),
                position_ids=positions(batch["position_ids"], step),
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state[:, -1]
        found.append(model.lm_head(hidden))
        token = found[-1].argmax(-1)
    return {"logits": torch.stack(found, dim=1)}


def _writing_mistakes(model: Any, cache: Any, hidden: Tensor, batch: Batch) -> list[Mistake]:
    empty = DynamicCache(config=model.config)
    given = cache.get_seq_length()

    def by(message: str, cache: Any = cache, **how: Any) -> Mistake:
        return Mistake(message, lambda: _write_badly(model, cache, hidden, batch, **how))

    lost = (
        "your cache has the wrong length: it starts empty, so the new tokens see neither the "
        "question nor the thoughts. Pass the cache that you were given to every pass."
    )
    restart = (
        "your position ids start again at {}. They go on counting real tokens: the first new one "
        "has position_ids[:, -1] + 1."
    )
    short = (
        "your attention mask is not extended: it covers the columns of the prompt and not the "
        "new ones. Append a column of ones for every token."
    )

    def ones(mask: Tensor, step: int) -> Tensor:
        return mask.new_ones(len(mask), step)

    return [
        by(lost, empty, mask=ones),
        by(lost, empty, mask=lambda mask, step: None),
        by(lost, empty, mask=ones, positions=lambda p, step: torch.full_like(p[:, :1], step - 1)),
        by(
            "your cache has the wrong length: <eot> is in it already, and you send it a second "
            f"time. The first token is chosen from `hidden`; the cache then holds {given} columns.",
            first=EOT,
        ),
        by(restart.format(0), positions=lambda p, step: torch.full_like(p[:, :1], step - 1)),
        by(restart.format(1), positions=lambda p, step: torch.full_like(p[:, :1], step)),
        by(
            "your position ids stand still: every new token gets that of the last column. Add one "
            "for every token.",
            positions=lambda p, step: p[:, -1:],
        ),
        by(
            "your position ids are one behind: the first new token has position_ids[:, -1] + 1.",
            positions=lambda p, step: p[:, -1:] + step - 1,
        ),
        by(
            "your position ids count columns, padding included (so does the library when they are "
            "left out). Count real tokens: position_ids[:, -1] + 1.",
            positions=lambda p, step: torch.full_like(p[:, :1], p.shape[1] + step - 1),
        ),
        by(short, mask=lambda mask, step: mask),
        by(short, mask=lambda mask, step: extended(mask, step - 1)),
        by(
            "your attention mask covers only the new columns. It has to cover the cached ones too.",
            mask=lambda mask, step: mask.new_ones(len(mask), 1),
        ),
        by(
            "padding is attended to: the attention mask is missing, or 1 everywhere. Extend the "
            "mask that you were given.",
            mask=lambda mask, step: None,
        ),
        by(
            "padding is attended to: the attention mask is missing, or 1 everywhere. Extend the "
            "mask that you were given.",
            mask=lambda mask, step: mask.new_ones(len(mask), mask.shape[1] + step),
        ),
        Mistake(
            "your first token is chosen one pass too late. The hidden state that you were given "
            "is that of <eot>: the first token comes from it.",
            lambda: {
                "logits": _write_badly(model, cache, hidden, batch, count=WRITTEN + 1)["logits"][
                    :, 1:
                ]
            },
        ),
    ]

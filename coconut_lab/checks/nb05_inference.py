"""The exercises of 05 that run a model: think a fixed number of times, write, halt row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from coconut_lab.checks import models
from coconut_lab.checks.engine import CheckFailed, Function, exercise, kind
from coconut_lab.checks.models import (
    EOT,
    THOUGHT,
    columns_of,
    padded_batch,
    random_models,
    random_row,
)
from coconut_lab.checks.nb02_latent_forward import WRONG_VECTORS, think_with_cache

# --- exercise 1 -----------------------------------------------------------------------------------


def counts_of_thoughts() -> Iterator[tuple[Any, Tensor, int, int]]:
    """Rows that end in <bot>, to be thought about 3 times, once and not at all."""
    for model in random_models():
        for count, question in ((3, 6), (1, 4), (0, 5)):
            yield model, torch.tensor([random_row(0, question, 0, seed=count)[:-1]]), count, EOT


@torch.no_grad()
def state_and_cache(function: Function, model: Any, *rest: Any) -> dict[str, Any]:
    with models.counted(model) as passes:
        hidden, cache = function(model, *rest)
    return {"hidden": hidden, "_cache": cache, "_passes": passes}


def one_cache(got: dict[str, Any], want: dict[str, Any]) -> str | None:
    cache, enough = got["_cache"], want["_cache"].get_seq_length()
    if not hasattr(cache, "get_seq_length"):
        return f"the second result should be the cache, not {kind(cache)}."
    if cache.get_seq_length() != enough:
        return (
            "the hidden state is right, but your cache has the wrong length: it holds "
            f"{cache.get_seq_length()} columns, not {enough} (the prompt, the thoughts and <eot>). "
            "Pass the one cache to every pass, and return that one: the answer is written after it."
        )
    hint = (
        "The number is known beforehand, so the last thought and <eot> go in together "
        "(with 0 thoughts, <bot> and <eot>)."
    )
    return models.too_much(got["_passes"], want["_passes"], hint)


ALONE = (
    "each of your passes sees only its own columns: the cache does not reach it. "
    "Pass the same past_key_values to every pass."
)


@exercise(
    cases=counts_of_thoughts,
    observe=state_and_cache,
    limits=one_cache,
    returns="hidden, cache",
    axes={"hidden": "(1, d)"},
    shown=lambda *case: "",
    says="3, 1 and 0 thoughts, <eot> after them, in n + 1 passes with one cache",
    mistakes={
        "<eot> is forgotten: your hidden state is that of the last thought. The model is still in "
        "latent mode there, and was never trained to write from it. Feed <eot> after the "
        "thoughts, and take its column.": ("if left == 0", "if False"),
        "one thought is missing. The hidden state at <bot> is thought 1, and it has to go in "
        "before it counts.": ("range(count,", "range(max(count - 1, 0),"),
        "you think one thought too many.": ("range(count,", "range(count + 1,"),
        "<eot> goes in before the thoughts, so they are outside of latent mode. The order is "
        "<bot>, thoughts, <eot>.": (
            ("if left == 0", "if False"), ("for left", "inputs = torch.cat([inputs, eot], dim=1)\n"
                                                       "    for left"),
        ),
        "your thoughts are words: the likeliest token, embedded again. Feed the hidden state "
        "itself.": ("hidden[:, None]", "models.word_of(language_model, hidden)[:, None]"),
        "<eot> goes in twice.": ("[inputs, eot]", "[inputs, eot, eot]"),
        ALONE: ("past_key_values=cache, use_cache=True", "use_cache=False"),
        "what is in the cache goes in again. Send only the new column: the last hidden state.": (
            "inputs = hidden[:, None]", "inputs = torch.cat([inputs, hidden[:, None]], dim=1)"
        ),
        **WRONG_VECTORS,
    },
)  # fmt: skip
def think_fixed(
    language_model: Any, input_ids: Tensor, count: int, eot_id: int
) -> tuple[Tensor, DynamicCache]:
    """Exercise 1: a fixed number of thoughts, then `<eot>`, with a cache.

    `(language_model, input_ids (1, t), count, eot_id)` to hidden (1, d) and the cache.
    """
    cache, embed = DynamicCache(config=language_model.config), language_model.get_input_embeddings()
    inputs, eot = embed(input_ids), embed(torch.tensor([[eot_id]]))
    for left in range(count, -1, -1):
        if left == 0:
            inputs = torch.cat([inputs, eot], dim=1)
        output = language_model.base_model(
            inputs_embeds=inputs, past_key_values=cache, use_cache=True, output_hidden_states=True
        )
        hidden = output.last_hidden_state[:, -1]
        inputs = hidden[:, None]
    return hidden, cache


# --- exercise 2 -----------------------------------------------------------------------------------


@torch.no_grad()
def after_eot(model: Any, batch: dict[str, Tensor]) -> tuple[DynamicCache, Tensor]:
    """The cache of a padded batch after thinking, and the last hidden state (B, d)."""
    cache, hidden = DynamicCache(config=model.config), None
    ids, embeds = batch["input_ids"], model.get_input_embeddings()(batch["input_ids"])
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


def thought_about() -> Iterator[tuple[Any, ...]]:
    """Padded rows after 2 thoughts, and after none; four tokens are to be written."""
    for model in random_models():
        for thoughts in (2, 0):
            batch = padded_batch(thoughts)
            yield (
                model, *after_eot(model, batch), batch["attention_mask"], batch["position_ids"], 4
            )  # fmt: skip


@torch.no_grad()
def tokens_and_logits(function: Function, model: Any, *rest: Any) -> dict[str, Any]:
    with models.counted(model) as passes:
        tokens, logits = function(model, *rest)
    return {"logits": logits, "_tokens": tokens, "_passes": passes}


def one_column_per_token(got: dict[str, Any], want: dict[str, Any]) -> str | None:
    tokens, passes, enough = got["_tokens"], got["_passes"], sum(want["_passes"])
    if not isinstance(tokens, Tensor) or not torch.equal(tokens.long(), want["_tokens"]):
        return "the logits are right, but the tokens are not their argmax, (B, count) int64."
    if sum(passes) == enough + 1:
        return (
            f"the values are right, but you run the model once more after the last token. "
            f"{enough + 1} tokens take {enough} passes: the first one comes from the hidden state "
            "that you were given."
        )
    if sum(passes) > enough:
        return (
            f"the values are right, but {sum(passes)} columns went through the model "
            f"({' + '.join(map(str, passes))}). What is in the cache need not go in again: one "
            "column per token."
        )
    return None


MASK, POSITION = "attention_mask=mask", "position_ids[:, -1:] + step"
EMPTY = (
    "your cache has the wrong length: it starts empty, so the new tokens see neither the "
    "question nor the thoughts. Pass the cache that you were given to every pass."
)
RESTART = (
    "your position ids start again at {}. They go on counting real tokens: the first new one "
    "has position_ids[:, -1] + 1."
)
NEW_CACHE = ("    embed,", "    cache = DynamicCache(config=language_model.config)\n    embed,")


@exercise(
    cases=thought_about,
    observe=tokens_and_logits,
    limits=one_column_per_token,
    returns="tokens, logits",
    axes={"logits": "(B, count, V)"},
    shown=lambda *case: "",
    says="padded rows write the right tokens, one column per pass, after one cache",
    mistakes={
        EMPTY: (NEW_CACHE, (MASK, "attention_mask=mask[:, -step:]")),
        "your cache has the wrong length: <eot> is in it already, and you send it a second "
        "time. The first token comes from the hidden state that you were given.": (
            ("for step", """mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
    output = language_model.base_model(
        inputs_embeds=embed(torch.full_like(mask[:, :1], EOT)), attention_mask=mask,
        position_ids=position_ids[:, -1:] + 1, past_key_values=cache, use_cache=True)
    hidden = output.last_hidden_state[:, -1]
    for step"""),
            ("+ step", "+ step + 1"),
        ),
        RESTART.format(0): (POSITION, "torch.full_like(position_ids[:, -1:], step - 1)"),
        RESTART.format(1): (POSITION, "torch.full_like(position_ids[:, -1:], step)"),
        "your position ids stand still: every new token gets that of the last column. Add "
        "one for every token.": (POSITION, "position_ids[:, -1:]"),
        "your position ids are one behind: the first new token has position_ids[:, -1] + 1.": (
            POSITION, "position_ids[:, -1:] + step - 1"
        ),
        "your position ids count columns, padding included (so does the library when they are "
        "left out). Count real tokens: position_ids[:, -1] + 1.": (POSITION, "None"),
        "your attention mask is not extended: it covers the columns of the prompt and not the "
        "new ones. Append a column of ones for every token.": (
            MASK, "attention_mask=attention_mask"
        ),
        "your attention mask is extended one token too late. Append the column of ones before the "
        "token goes in.": (MASK, "attention_mask=mask[:, :-1]"),
        "your attention mask covers only the new columns. It has to cover the cached ones too.": (
            MASK, "attention_mask=mask[:, -1:]"
        ),
        "padding is attended to: the attention mask is missing, or 1 everywhere. Extend the "
        "mask that you were given.": (MASK, "attention_mask=None"),
        "your first token is chosen one pass too late. The hidden state that you were given "
        "is that of <eot>: the first token comes from it.": (
            ("1, count + 1", "1, count + 2"), ("step == count", "step == count + 1"),
            ("stack(logits", "stack(logits[1:]"),
        ),
        "you feed hidden states, as in latent mode. After <eot> the model reads the tokens that it "
        "writes: embed the most probable one.": ("embed(token)[:, None]", "hidden[:, None]"),
        "these are probabilities. Return the logits, what lm_head gives.": (
            "dim=1)\n    return", "dim=1).softmax(-1)\n    return"
        ),
        "these are log-probabilities. Return the logits, what lm_head gives.": (
            "dim=1)\n    return", "dim=1).log_softmax(-1)\n    return"
        ),
        "the hidden state is normalised twice. It comes after the final normalisation layer; "
        "lm_head takes it as it is.": (
            "lm_head(hidden", "lm_head(models.final_norm(language_model)(hidden)"
        ),
    },
)  # fmt: skip
def write_on(
    language_model: Any,
    cache: DynamicCache,
    hidden: Tensor,
    attention_mask: Tensor,
    position_ids: Tensor,
    count: int,
) -> tuple[Tensor, Tensor]:
    """Exercise 2: write after the thoughts, with the cache that they are in.

    `(language_model, cache, hidden (B, d), attention_mask (B, T), position_ids (B, T), count)` to
    tokens (B, count) and logits (B, count, V).
    """
    embed, logits, mask = language_model.get_input_embeddings(), list[Tensor](), attention_mask
    for step in range(1, count + 1):
        logits.append(language_model.lm_head(hidden))
        if step == count:
            break
        token = logits[-1].argmax(-1)
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        output = language_model.base_model(
            inputs_embeds=embed(token)[:, None],
            attention_mask=mask,
            position_ids=position_ids[:, -1:] + step,
            past_key_values=cache,
            use_cache=True,
        )
        hidden = output.last_hidden_state[:, -1]
    found = torch.stack(logits, dim=1)
    return found.argmax(-1), found


# --- exercise 3 -----------------------------------------------------------------------------------

MOST = 4


@torch.no_grad()
def rules() -> Iterator[tuple[Any, ...]]:
    """Padded rows that end in <bot>, each to be stopped after another number of thoughts."""
    for model in random_models():
        batch = {name: value[:, :-4] for name, value in padded_batch(0).items()}
        ids, mask, positions = batch.values()
        after = torch.arange(1, MOST + 1)
        hidden, _ = think_with_cache.right(
            model,
            torch.cat([ids, torch.full((len(ids), MOST), THOUGHT)], dim=1),
            torch.cat([mask, torch.ones(len(ids), MOST).long()], dim=1),
            torch.cat([positions, positions[:, -1:] + after], dim=1),
            THOUGHT,
        )
        for wanted in ((1, 2, 0), (2, 3, 4), (0, 0, 0), (3, 1, 9)):
            yield model, ids, mask, positions, rule(hidden[:, -MOST - 1 :], wanted), MOST


def rule(states: Tensor, wanted: tuple[int, ...]) -> Callable[[int, Tensor], Tensor]:
    """A rule that tells the rows apart by their states: each stops at its own k, and only there.

    Later it would let the row think on, so that a stop has to be remembered.
    """

    def stop(k: int, hidden: Tensor) -> Tensor:
        if k > MOST:
            raise CheckFailed(
                f"halt_by_row: a row has more than `most` thoughts: the rule is asked at k = {k}. "
                f"After {MOST} it stops in any case."
            )
        distance = (hidden[:, None] - states[None, :, int(k)]).abs().amax(-1)  # (R, B)
        return torch.tensor([wanted[row] == k for row in distance.argmin(1).tolist()])

    return stop


@torch.no_grad()
def counts_and_states(function: Function, model: Any, *rest: Any) -> dict[str, Any]:
    parts = [part.clone() if isinstance(part, Tensor) else part for part in rest]
    counts, hidden = function(model, *parts)
    if not isinstance(counts, Tensor):
        raise CheckFailed(f"halt_by_row: counts should be a tensor, not {kind(counts)}.")
    return {"counts": counts.long().tolist(), "hidden": hidden}


EXTENDED = "the hidden states are off. Are mask and positions extended for every thought? "


@exercise(
    cases=rules,
    observe=counts_and_states,
    returns="counts, hidden",
    axes={"hidden": "(B, d)"},
    shown=lambda *case: "",
    says="each row stops by itself, with the state in which it stopped",
    mistakes={
        "the counts are right, but your hidden states are those of the last pass. Keep each row's "
        "state when it stops: later passes belong to the others.": (
            "return counts, kept", "return counts, hidden"
        ),
        "a row that had stopped goes on thinking, because the rule is asked about it again. "
        "Remember who has stopped.": (
            ("counts[stops] = k", "counts = counts + (~says).long() * (k < most)"),
            ("(len(input_ids),), most", "(len(input_ids),), 0"),
            ("not thinking.any()", "says.all()"),
        ),
        "the whole batch halts at the first row that wants to (.any()). A row that stops must not "
        "stop the others.": ("thinking & says", "thinking & says.any()"),
        "the whole batch thinks on until its last row stops (.all()). Count for each row by "
        "itself.": ("return counts, kept", "return counts.max().expand_as(counts), hidden"),
        "the batch halts only where all rows want to at the same k (.all()). Count for each row by "
        "itself.": ("thinking & says", "thinking & says.all()"),
        "you count one thought too many: the rule is asked after k = 0, 1, 2, … thoughts, and a "
        "row that stops at k has had k.": ("return counts,", "return counts + 1,"),
        "the rule is not asked at k = 0, after no thought at all. It may stop there.": (
            "= stop(k, hidden)", "= stop(k, hidden) & (k > 0)"
        ),
        "the last thought never goes in: a row that has `most` thoughts takes most + 1 passes.": (
            "range(most + 1)", "range(most)"
        ),
        f"{EXTENDED}Your mask stays as it is.": ("attention_mask = torch.cat", "_ = torch.cat"),
        f"{EXTENDED}Your mask covers only the new column.": (
            "attention_mask = torch.cat([attention_mask, ", "attention_mask = torch.cat(["
        ),
        f"{EXTENDED}Your positions stay as they are.": ("-1:] + 1", "-1:]"),
        f"{EXTENDED}Your positions are missing after the first pass.": (
            "position_ids=position_ids", "position_ids=position_ids if k == 0 else None"
        ),
        "your thoughts are words: the likeliest token, embedded again. Feed the hidden state "
        "itself.": ("inputs = hidden", "inputs = models.word_of(language_model, hidden)"),
    },
)  # fmt: skip
def halt_by_row(
    language_model: Any,
    input_ids: Tensor,
    attention_mask: Tensor,
    position_ids: Tensor,
    stop: Callable[[int, Tensor], Tensor],
    most: int,
) -> tuple[Tensor, Tensor]:
    """Exercise 3: every row of a batch stops thinking by itself.

    `(language_model, input_ids, attention_mask, position_ids, stop, most)`, tensors (B, T) that
    end at `<bot>`, `stop(k, hidden (R, d)) -> (R,) bool`, to counts (B,) int64 and hidden (B, d).
    """
    cache = DynamicCache(config=language_model.config)
    inputs, kept = language_model.get_input_embeddings()(input_ids), torch.zeros(())
    counts = torch.full((len(input_ids),), most)
    thinking = torch.ones(len(input_ids), dtype=torch.bool)
    for k in range(most + 1):
        hidden = language_model.base_model(
            inputs_embeds=inputs,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state[:, -1]  # (B, d)
        kept = hidden.where(thinking[:, None], kept)
        says = stop(k, hidden)
        stops = thinking & says
        counts[stops] = k
        thinking = thinking & ~stops
        if k == most or not thinking.any():
            break
        inputs = hidden[:, None]
        attention_mask = torch.cat([attention_mask, torch.ones_like(attention_mask[:, :1])], dim=1)
        position_ids = position_ids[:, -1:] + 1
    return counts, kept

"""The checks of 05's exercises 1, 2 and 3: think, stop, and write with one cache."""

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
    Mistake,
    call,
    close,
    compare,
    parts,
    passed,
    tensor,
)
from coconut_lab.checks.latent_forward import counted, padded_batch
from coconut_lab.checks.reference import (
    EOT,
    THOUGHT,
    Batch,
    columns_of,
    one_pass,
    random_models,
    random_row,
    unroll,
)

Function = Callable[..., Any]


# --- exercise 1 -----------------------------------------------------------------------------------


@torch.no_grad()
def think_fixed(function: Function) -> None:
    """Check exercise 1: a fixed number of thoughts, then `<eot>`, with a cache.

    Args:
        function: `(language_model, input_ids (1, t), count, eot_id) -> hidden (1, d), cache`.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "think_fixed"
    for model in random_models():
        for count, question in ((3, 6), (1, 4), (0, 5)):
            ids = torch.tensor([random_row(0, question, 0, seed=count)[:-1]])  # ends in <bot>
            with counted(model) as passes:
                value = call(name, function, model, ids, count, EOT)
            hidden, cache = parts(name, value, ("hidden", "cache"))
            got = {"hidden": tensor(name, "hidden", hidden)}
            compare(name, got, _fixed(model, ids, count), _fixed_mistakes(model, ids, count),
                    " = (1, d)")  # fmt: skip
            _check_cache(name, cache, ids.shape[1] + count + 1)
            if sum(passes) > ids.shape[1] + count + 1:
                raise CheckFailed(
                    f"{name}: the values are right, but {sum(passes)} columns went through the "
                    f"model ({' + '.join(map(str, passes))}) where {ids.shape[1] + count + 1} are "
                    "enough. Send only columns that are not in the cache yet."
                )
            if len(passes) > count + 1:
                raise CheckFailed(
                    f"{name}: the values are right, but {count} thoughts took {len(passes)} "
                    f"passes; {count + 1} are enough. The number is known beforehand, so the last "
                    "thought and <eot> go in together (with 0 thoughts, <bot> and <eot>)."
                )
    passed(name, "3, 1 and 0 thoughts, <eot> behind them, in n + 1 passes with one cache")


def _fixed(
    model: Any, ids: Tensor, count: int, ends: tuple[int, ...] = (EOT,), words: bool = False
) -> dict[str, Tensor]:
    """The last hidden state after so many thoughts and these tokens, without a cache."""
    embed = model.get_input_embeddings()
    inputs = embed(ids)
    for _ in range(count):
        last = one_pass(model, inputs)
        thought = embed(last.logits[:, -1].argmax(-1)) if words else last.hidden[:, -1]
        inputs = torch.cat([inputs, thought[:, None]], dim=1)
    if ends:
        inputs = torch.cat([inputs, embed(torch.tensor([ends]))], dim=1)
    return {"hidden": one_pass(model, inputs).hidden[:, -1]}


def _fixed_mistakes(model: Any, ids: Tensor, count: int) -> list[Mistake]:
    def early() -> dict[str, Tensor]:
        return _fixed(model, torch.cat([ids, torch.tensor([[EOT]])], dim=1), count, ())

    found = [
        Mistake(
            "<eot> is forgotten: your hidden state is that of the last thought. The model is "
            "still in latent mode there, and was never trained to write from it. Feed <eot> "
            "behind the thoughts.",
            lambda: _fixed(model, ids, count, ()),
        ),
        Mistake(
            "you think one thought too many.",
            lambda: _fixed(model, ids, count + 1),
        ),
        Mistake(
            "<eot> goes in before the thoughts, so they stand outside of latent mode. The order "
            "is <bot>, thoughts, <eot>.",
            early,
        ),
        Mistake(
            "your thoughts are words: the likeliest token, embedded again. Feed the hidden state "
            "itself.",
            lambda: _fixed(model, ids, count, words=True),
        ),
        Mistake(
            "<eot> goes in twice.",
            lambda: _fixed(model, ids, count, (EOT, EOT)),
        ),
    ]
    if count:
        found.insert(
            1,
            Mistake(
                "one thought is missing. The hidden state at <bot> is thought 1, and it has to go "
                "in before it counts.",
                lambda: _fixed(model, ids, count - 1),
            ),
        )
    return found


def _check_cache(name: str, cache: Any, want: int) -> None:
    if not hasattr(cache, "get_seq_length"):
        raise CheckFailed(
            f"{name}: the second result should be the cache, not {type(cache).__name__}."
        )
    held = cache.get_seq_length()
    if held != want:
        raise CheckFailed(
            f"{name}: the hidden state is right, but your cache has the wrong length: it holds "
            f"{held} columns, not {want} (the prompt, the thoughts and <eot>). Pass the one cache "
            "to every pass, and return that one: the answer is written behind it."
        )


# --- exercise 2 -----------------------------------------------------------------------------------

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


def _extended(mask: Tensor, step: int) -> Tensor:
    return torch.cat([mask, mask.new_ones(len(mask), step)], dim=1)


def _next_positions(positions: Tensor, step: int) -> Tensor:
    return positions[:, -1:] + step


def _write_badly(
    model: Any,
    cache: Any,
    hidden: Tensor,
    batch: Batch,
    mask: Given = _extended,
    positions: Given = _next_positions,
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
        by(short, mask=lambda mask, step: _extended(mask, step - 1)),
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


# --- exercise 5 -----------------------------------------------------------------------------------


@torch.no_grad()
def halt_by_row(function: Function) -> None:
    """Check exercise 5: every row of a batch stops thinking by itself.

    Args:
        function: `(language_model, input_ids, attention_mask, position_ids, stop, most)`, tensors
            (B, T) that end at `<bot>`, `stop(k, hidden (R, d)) -> (R,) bool`, to counts (B,) int64
            and hidden (B, d).

    Raises:
        CheckFailed: what is wrong.
    """
    name = "halt_by_row"
    most = 4
    for model in random_models():
        for wanted in ((1, 2, 0), (2, 3, 4), (0, 0, 0), (3, 1, 9)):
            batch = _heads()
            states = _states(model, batch, most)  # (B, most + 1, d)
            stop = _rule(states, wanted)
            value = call(name, function, model, *(part.clone() for part in batch.values()), stop,
                         most)  # fmt: skip
            counts, hidden = parts(name, value, ("counts", "hidden"))
            counts = tensor(name, "counts", counts)
            hidden = tensor(name, "hidden", hidden)
            right = torch.tensor([min(k, most) for k in wanted])
            _check_counts(name, counts, right, stop, states, most)
            want = states[torch.arange(len(right)), right]
            if hidden.shape != want.shape:
                raise CheckFailed(
                    f"{name}: hidden has shape {tuple(hidden.shape)}, it should be "
                    f"{tuple(want.shape)} = (B, d)."
                )
            last = states[:, int(right.max())]
            if not close(hidden, want) and close(hidden, last):
                raise CheckFailed(
                    f"{name}: the counts are right, but your hidden states are those of the last "
                    "pass. Keep each row's state when it stops: later passes belong to the others."
                )
            if not close(hidden, want):
                off = (hidden - want).abs().amax(1)
                row = int(off.argmax())
                raise CheckFailed(
                    f"{name}: the counts are right, but hidden of row {row} is off by up to "
                    f"{off[row].item():.2g}: it should be the state after {int(right[row])} "
                    "thoughts. Are mask and positions extended for every thought?"
                )
    passed(name, "each row stops by itself, with the state in which it stopped")


def _heads() -> Batch:
    batch = padded_batch(0)
    return {key: value[:, :-4] for key, value in batch.items()}  # without <eot> and three words


def _states(model: Any, batch: Batch, most: int) -> Tensor:
    """The states (B, most + 1, d) after every number of thoughts, without a cache."""
    grown = {
        "input_ids": torch.cat(
            [batch["input_ids"], torch.full((len(batch["input_ids"]), most), THOUGHT)], dim=1
        ),
        "attention_mask": _extended(batch["attention_mask"], most),
        "position_ids": torch.cat(
            [batch["position_ids"]]
            + [_next_positions(batch["position_ids"], k + 1) for k in range(most)],
            dim=1,
        ),
    }
    return unroll(model, grown["input_ids"], grown)[0][:, -(most + 1) :]


def _rule(states: Tensor, wanted: tuple[int, ...]) -> Callable[[int, Tensor], Tensor]:
    """A rule that tells the rows apart by their states: each stops at its own k, and only there.

    Later it would let the row think on, so that a stop has to be remembered.
    """

    def stop(k: int, hidden: Tensor) -> Tensor:
        distance = (hidden[:, None] - states[None, :, int(k)]).abs().amax(-1)  # (R, B)
        rows = distance.argmin(1).tolist()
        return torch.tensor([wanted[row] == k for row in rows])

    return stop


def _check_counts(
    name: str, counts: Tensor, right: Tensor, stop: Any, states: Tensor, most: int
) -> None:
    if counts.shape == right.shape and torch.equal(counts.long(), right):
        return
    if counts.shape != right.shape:
        raise CheckFailed(
            f"{name}: counts has shape {tuple(counts.shape)}, it should be {tuple(right.shape)}: "
            "one number per row."
        )
    counts = counts.long()
    said = f"counts are {counts.tolist()}, they should be {right.tolist()}"
    again = most - (right < most).long()  # one less for the only k at which the rule says stop
    if torch.equal(counts, again) or torch.equal(counts, again + 1):
        why = (
            "a row that had stopped goes on thinking, because the rule is asked about it again. "
            "Remember who has stopped"
        )
    elif torch.equal(counts, right.min().expand_as(right)):
        why = (
            "the whole batch halts at the first row that wants to (.any()). A row that stops must "
            "not stop the others"
        )
    elif torch.equal(counts, right.max().expand_as(right)):
        why = (
            "the whole batch thinks on until its last row stops (.all()). Count for each row by "
            "itself"
        )
    elif torch.equal(counts, right + 1) or torch.equal(counts, (right + 1).clamp(max=most)):
        why = (
            "you count one thought too many: the rule is asked after k = 0, 1, 2, … thoughts, and "
            "a row that stops at k has had k"
        )
    elif bool((counts > most).any()):
        why = f"a row has more than `most` thoughts. After {most} it stops in any case"
    elif torch.equal(counts[right > 0], right[right > 0]):
        why = "the rule is not asked at k = 0, after no thought at all. It may stop there"
    else:
        why = "a row's count is wrong"
    raise CheckFailed(f"{name}: {why}: {said}.")

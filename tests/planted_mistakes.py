"""Typical mistakes of learners, each with the words by which its check must name it.

`test_exercises.py` hands each `wrong` to its check and looks for `expect` in the message. Every
check that an exercise calls needs at least three mistakes with messages of their own.
"""

from __future__ import annotations

import functools
import math
import operator
import statistics
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from transformers import DynamicCache


@dataclass(frozen=True)
class Planted:
    """One wrong solution.

    check: the name of the function in `coconut_lab.checks`.
    wrong: what a learner wrote in place of the solution.
    expect: a part of the message that this mistake, and no other, must get.
    """

    check: str
    wrong: Callable[..., Any]
    expect: str


PLANTED: list[Planted] = []


def planted(check: str, expect: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function into the table."""

    def enter(wrong: Callable[..., Any]) -> Callable[..., Any]:
        PLANTED.append(Planted(check, wrong, expect))
        return wrong

    return enter


def embed(model, ids):
    return model.get_input_embeddings()(ids)


def states(model, inputs):
    return model.base_model(inputs_embeds=inputs).last_hidden_state


def before_the_norm(model, inputs):
    """The output of the last layer as such, which a forward hook on the layer gives."""
    seen = []
    backbone = model.base_model
    layer = (backbone.h if hasattr(backbone, "h") else backbone.layers)[-1]

    def note(module, arguments, output):
        seen.append(output[0] if isinstance(output, tuple) else output)

    hook = layer.register_forward_hook(note)
    backbone(inputs_embeds=inputs)
    hook.remove()
    return seen[0]


def layer_below(model, inputs):
    return model.base_model(inputs_embeds=inputs, output_hidden_states=True).hidden_states[-2]


def word_of(model, hidden):
    return embed(model, model.lm_head(hidden).argmax(-1))


# --- 02, exercise 1: feed_back --------------------------------------------------------------------


def fed_back(model, ids, thought_from):
    inputs = embed(model, ids)
    thought = thought_from(inputs)
    return thought, states(model, torch.cat([inputs, thought[:, None]], dim=1))[:, -1]


@planted("feed_back", "before the final normalisation layer")
def thought_before_the_norm(model, ids):
    return fed_back(model, ids, lambda inputs: before_the_norm(model, inputs)[:, -1])


@planted("feed_back", "one layer too early")
def thought_of_the_layer_below(model, ids):
    return fed_back(model, ids, lambda inputs: layer_below(model, inputs)[:, -1])


@planted("feed_back", "off by one position")
def thought_before_bot(model, ids):
    return fed_back(model, ids, lambda inputs: states(model, inputs)[:, -2])


@planted("feed_back", "embedding of a word")
def thought_is_a_word(model, ids):
    return fed_back(model, ids, lambda inputs: word_of(model, states(model, inputs)[:, -1]))


@planted("feed_back", "embedding of a word")
def word_goes_in_instead_of_the_thought(model, ids):
    inputs = embed(model, ids)
    thought = states(model, inputs)[:, -1]
    inputs = torch.cat([inputs, word_of(model, thought)[:, None]], dim=1)
    return thought, states(model, inputs)[:, -1]


@planted("feed_back", "input embedding of <bot>")
def thought_is_what_went_in(model, ids):
    return fed_back(model, ids, lambda inputs: inputs[:, -1])


@planted("feed_back", "replaces <bot>")
def thought_replaces_bot(model, ids):
    inputs = embed(model, ids)
    thought = states(model, inputs)[:, -1]
    inputs = torch.cat([inputs[:, :-1], thought[:, None]], dim=1)
    return thought, states(model, inputs)[:, -1]


@planted("feed_back", "sees it alone")
def question_is_forgotten(model, ids):
    thought = states(model, embed(model, ids))[:, -1]
    return thought, states(model, thought[:, None])[:, -1]


@planted("feed_back", "at <bot> again")
def second_result_is_the_first(model, ids):
    thought, _ = fed_back(model, ids, lambda inputs: states(model, inputs)[:, -1])
    return thought, thought


@planted("feed_back", "detached")
def fed_back_detached(model, ids):
    return fed_back(model, ids, lambda inputs: states(model, inputs)[:, -1].detach())


@planted("feed_back", "carry no gradient")
@torch.no_grad()
def fed_back_without_gradient(model, ids):
    return fed_back(model, ids, lambda inputs: states(model, inputs)[:, -1])


# --- 02, exercise 2: think_without_cache ----------------------------------------------------------


def columns_of(ids, thought_id):
    return (ids[0] == thought_id).nonzero().flatten().tolist()


def thought_by_thought(model, ids, thought_id, thought_from):
    """The right loop, around a `thought_from(inputs, column)` that may be wrong."""
    inputs, thoughts = embed(model, ids), []
    for column in columns_of(ids, thought_id):
        thoughts.append(thought_from(inputs, column))
        fed = thoughts[-1][:, None]
        inputs = torch.cat([inputs[:, :column], fed, inputs[:, column + 1 :]], dim=1)
    return states(model, inputs), thoughts


@planted("think_without_cache", "before the final normalisation layer")
def loop_before_the_norm(model, ids, thought_id):
    def wrong(inputs, column):
        return before_the_norm(model, inputs[:, :column])[:, -1]

    return thought_by_thought(model, ids, thought_id, wrong)


@planted("think_without_cache", "one layer too early")
def loop_of_the_layer_below(model, ids, thought_id):
    def wrong(inputs, column):
        return layer_below(model, inputs[:, :column])[:, -1]

    return thought_by_thought(model, ids, thought_id, wrong)


@planted("think_without_cache", "two columns before")
def loop_off_by_one(model, ids, thought_id):
    def wrong(inputs, column):
        return states(model, inputs[:, :column])[:, -2]

    return thought_by_thought(model, ids, thought_id, wrong)


@planted("think_without_cache", "at the placeholder itself")
def loop_at_the_placeholder(model, ids, thought_id):
    def wrong(inputs, column):
        return states(model, inputs)[:, column]

    return thought_by_thought(model, ids, thought_id, wrong)


@planted("think_without_cache", "come from the first pass")
def loop_with_one_pass(model, ids, thought_id):
    inputs = embed(model, ids).clone()
    hidden = states(model, inputs)
    thoughts = [hidden[:, column - 1] for column in columns_of(ids, thought_id)]
    for column, thought in zip(columns_of(ids, thought_id), thoughts, strict=True):
        inputs[:, column] = thought
    return states(model, inputs), thoughts


@planted("think_without_cache", "all the first one")
def loop_repeats_the_first(model, ids, thought_id):
    columns = columns_of(ids, thought_id)

    def wrong(inputs, column):
        return states(model, inputs[:, : columns[0]])[:, -1]

    return thought_by_thought(model, ids, thought_id, wrong)


@planted("think_without_cache", "embedding of a word")
def loop_over_words(model, ids, thought_id):
    def wrong(inputs, column):
        return word_of(model, states(model, inputs[:, :column])[:, -1])

    return thought_by_thought(model, ids, thought_id, wrong)


@planted("think_without_cache", "n + 1 passes")
def loop_without_a_last_pass(model, ids, thought_id):
    inputs, thoughts = embed(model, ids), []
    hidden = states(model, inputs)
    for column in columns_of(ids, thought_id):
        hidden = states(model, inputs)
        thoughts.append(hidden[:, column - 1])
        fed = thoughts[-1][:, None]
        inputs = torch.cat([inputs[:, :column], fed, inputs[:, column + 1 :]], dim=1)
    return hidden, thoughts


@planted("think_without_cache", "never put in its place")
def loop_that_feeds_nothing(model, ids, thought_id):
    inputs, columns = embed(model, ids), columns_of(ids, thought_id)
    return states(model, inputs), [inputs[:, column] for column in columns]


@planted("think_without_cache", "the graph is detached")
def loop_detached(model, ids, thought_id):
    def wrong(inputs, column):
        return states(model, inputs[:, :column])[:, -1].detach()

    return thought_by_thought(model, ids, thought_id, wrong)


@planted("think_without_cache", "back-propagation fails")
def loop_that_writes_into_its_inputs(model, ids, thought_id):
    inputs, thoughts = embed(model, ids).clone(), []
    for column in columns_of(ids, thought_id):
        thoughts.append(states(model, inputs[:, :column])[:, -1])
        inputs[:, column] = thoughts[-1]
    return states(model, inputs), thoughts


# --- 02, exercise 3: think_with_cache -------------------------------------------------------------


def through_the_cache(model, ids, mask, positions, thought_id, *, thought_from=None, cached=True):
    """The right loop, around masks and positions of one pass that may be wrong."""
    embeds, cache = embed(model, ids), DynamicCache(config=model.config)
    hidden, thoughts = [], []
    for start, stop in pairwise([0, *columns_of(ids, thought_id), ids.shape[1]]):
        inputs = embeds[:, start:stop]
        if hidden:
            last = hidden[-1][:, -1]
            thoughts.append(last if thought_from is None else thought_from(hidden, last))
            inputs = torch.cat([thoughts[-1][:, None], inputs[:, 1:]], dim=1)
        output = model.base_model(
            inputs_embeds=inputs,
            attention_mask=mask(start, stop),
            position_ids=positions(start, stop),
            past_key_values=cache if cached else None,
            use_cache=cached,
        )
        hidden.append(output.last_hidden_state)
    return torch.cat(hidden, dim=1), thoughts


@planted("think_with_cache", "position ids are missing in the cached passes")
def cached_positions_only_at_first(model, ids, mask, positions, thought_id):
    return through_the_cache(
        model, ids, lambda a, b: mask[:, :b],
        lambda a, b: positions[:, :b] if a == 0 else None, thought_id,
    )  # fmt: skip


@planted("think_with_cache", "position ids are missing. ")
def cached_without_positions(model, ids, mask, positions, thought_id):
    return through_the_cache(model, ids, lambda a, b: mask[:, :b], lambda a, b: None, thought_id)


@planted("think_with_cache", "start again at 0")
def cached_positions_start_again(model, ids, mask, positions, thought_id):
    return through_the_cache(
        model, ids, lambda a, b: mask[:, :b],
        lambda a, b: torch.arange(b - a)[None].expand(len(ids), -1), thought_id,
    )  # fmt: skip


@planted("think_with_cache", "cut from the front")
def cached_positions_from_the_front(model, ids, mask, positions, thought_id):
    return through_the_cache(
        model, ids, lambda a, b: mask[:, :b], lambda a, b: positions[:, : b - a], thought_id
    )


@planted("think_with_cache", "mask is too short")
def cached_mask_too_short(model, ids, mask, positions, thought_id):
    return through_the_cache(
        model, ids, lambda a, b: mask[:, a:b], lambda a, b: positions[:, a:b], thought_id
    )


@planted("think_with_cache", "mask never reaches the model")
def cached_without_mask(model, ids, mask, positions, thought_id):
    return through_the_cache(
        model, ids, lambda a, b: None, lambda a, b: positions[:, a:b], thought_id
    )


@planted("think_with_cache", "from the second pass on")
def cached_mask_only_at_first(model, ids, mask, positions, thought_id):
    return through_the_cache(
        model, ids, lambda a, b: mask[:, :b] if a == 0 else None,
        lambda a, b: positions[:, a:b], thought_id,
    )  # fmt: skip


@planted("think_with_cache", "sees only its own columns")
def cached_without_the_cache(model, ids, mask, positions, thought_id):
    return through_the_cache(
        model, ids, lambda a, b: mask[:, a:b], lambda a, b: positions[:, a:b], thought_id,
        cached=False,
    )  # fmt: skip


@planted("think_with_cache", "all the first one")
def cached_repeats_the_first(model, ids, mask, positions, thought_id):
    return through_the_cache(
        model, ids, lambda a, b: mask[:, :b], lambda a, b: positions[:, a:b], thought_id,
        thought_from=lambda hidden, last: hidden[0][:, -1],
    )  # fmt: skip


@planted("think_with_cache", "embedding of a word")
def cached_words(model, ids, mask, positions, thought_id):
    return through_the_cache(
        model, ids, lambda a, b: mask[:, :b], lambda a, b: positions[:, a:b], thought_id,
        thought_from=lambda hidden, last: word_of(model, last),
    )  # fmt: skip


@planted("think_with_cache", "the graph is detached")
def cached_detached(model, ids, mask, positions, thought_id):
    return through_the_cache(
        model, ids, lambda a, b: mask[:, :b], lambda a, b: positions[:, a:b], thought_id,
        thought_from=lambda hidden, last: last.detach(),
    )  # fmt: skip


@planted("think_with_cache", "those of the last pass only")
def cached_keeps_the_last_pass(model, ids, mask, positions, thought_id):
    hidden, thoughts = through_the_cache(
        model, ids, lambda a, b: mask[:, :b], lambda a, b: positions[:, a:b], thought_id
    )
    return hidden[:, columns_of(ids, thought_id)[-1] :], thoughts


@planted("think_with_cache", "Is <eot> skipped?")
def cached_skips_eot(model, ids, mask, positions, thought_id):
    without = torch.ones(ids.shape[1], dtype=torch.bool)
    without[columns_of(ids, thought_id)[-1] + 1] = False
    ids, mask, positions = ids[:, without], mask[:, without], positions[:, without]
    return through_the_cache(
        model, ids, lambda a, b: mask[:, :b], lambda a, b: positions[:, a:b], thought_id
    )


@planted("think_with_cache", "columns went through the model")
def cached_in_name_only(model, ids, mask, positions, thought_id):
    inputs, thoughts = embed(model, ids), []
    for column in columns_of(ids, thought_id):
        hidden = model.base_model(
            inputs_embeds=inputs[:, :column],
            attention_mask=mask[:, :column],
            position_ids=positions[:, :column],
        ).last_hidden_state
        thoughts.append(hidden[:, -1])
        fed = thoughts[-1][:, None]
        inputs = torch.cat([inputs[:, :column], fed, inputs[:, column + 1 :]], dim=1)
    output = model.base_model(inputs_embeds=inputs, attention_mask=mask, position_ids=positions)
    return output.last_hidden_state, thoughts


@planted("think_with_cache", "can travel with <eot>")
def cached_with_a_pass_too_many(model, ids, mask, positions, thought_id):
    embeds, cache, columns = embed(model, ids), DynamicCache(config=model.config), []
    columns = columns_of(ids, thought_id)
    hidden, thoughts = [], []
    cuts = [0, *columns, columns[-1] + 1, ids.shape[1]] if columns else [0, ids.shape[1]]
    for start, stop in pairwise(cuts):
        inputs = embeds[:, start:stop]
        if start in columns:
            thoughts.append(hidden[-1][:, -1])
            inputs = thoughts[-1][:, None]
        output = model.base_model(
            inputs_embeds=inputs,
            attention_mask=mask[:, :stop],
            position_ids=positions[:, start:stop],
            past_key_values=cache,
            use_cache=True,
        )
        hidden.append(output.last_hidden_state)
    return torch.cat(hidden, dim=1), thoughts


# --- 02, exercise 4: align ------------------------------------------------------------------------


def padded(rows, lefts, pad_id, *, first_position=0):
    """Rows behind so much padding on the left each; the rest is right."""
    width = max(left + len(row) for left, row in zip(lefts, rows, strict=True))
    ids = torch.full((len(rows), width), pad_id)
    mask, positions = torch.zeros_like(ids), torch.zeros_like(ids)
    for index, (left, row) in enumerate(zip(lefts, rows, strict=True)):
        here = slice(left, left + len(row))
        ids[index, here] = torch.tensor(row)
        mask[index, here] = 1
        positions[index, here] = torch.arange(first_position, first_position + len(row))
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions}


def lefts_of(rows, thought_id):
    firsts = [row.index(thought_id) if thought_id in row else None for row in rows]
    most = max((first for first in firsts if first is not None), default=0)
    return [0 if first is None else most - first for first in firsts]


@planted("align", "All padding is on the right")
def aligned_on_the_right(rows, thought_id, pad_id):
    return padded(rows, [0] * len(rows), pad_id)


@planted("align", "All padding is on the left")
def aligned_at_the_end(rows, thought_id, pad_id):
    width = max(map(len, rows))
    return padded(rows, [width - len(row) for row in rows], pad_id)


@planted("align", "1 everywhere")
def aligned_without_mask(rows, thought_id, pad_id):
    batch = padded(rows, lefts_of(rows, thought_id), pad_id)
    return batch | {"attention_mask": torch.ones_like(batch["input_ids"])}


@planted("align", "input_ids != pad_id")
def aligned_mask_from_ids(rows, thought_id, pad_id):
    batch = padded(rows, lefts_of(rows, thought_id), pad_id)
    return batch | {"attention_mask": (batch["input_ids"] != pad_id).long()}


@planted("align", "upside down")
def aligned_mask_upside_down(rows, thought_id, pad_id):
    batch = padded(rows, lefts_of(rows, thought_id), pad_id)
    return batch | {"attention_mask": 1 - batch["attention_mask"]}


@planted("align", "count columns, padding included")
def aligned_positions_of_columns(rows, thought_id, pad_id):
    batch = padded(rows, lefts_of(rows, thought_id), pad_id)
    columns = torch.arange(batch["input_ids"].shape[1])
    return batch | {"position_ids": columns.expand_as(batch["input_ids"])}


@planted("align", "positions start at 1")
def aligned_positions_from_one(rows, thought_id, pad_id):
    return padded(rows, lefts_of(rows, thought_id), pad_id, first_position=1)


@planted("align", "negative")
def aligned_positions_below_zero(rows, thought_id, pad_id):
    batch = padded(rows, lefts_of(rows, thought_id), pad_id)
    return batch | {"position_ids": batch["attention_mask"].cumsum(1) - 1}


@planted("align", "never between")
def aligned_by_padding_in_the_middle(rows, thought_id, pad_id):
    most = max((row.index(thought_id) for row in rows if thought_id in row), default=0)
    spread = []
    for row in rows:
        first = row.index(thought_id) if thought_id in row else 0
        spread.append([*row[:first], *[pad_id] * (most - first), *row[first:]])
    return padded(spread, [0] * len(rows), pad_id)


# --- 02, exercise 5: thought_gradients ------------------------------------------------------------


def loss_of(model, hidden, labels, shift=1, reduction="mean"):
    logits = model.lm_head(hidden)[0]
    return F.cross_entropy(logits[: len(logits) - shift], labels[0, shift:], reduction=reduction)


def right_thoughts(model, ids, thought_id):
    def right(inputs, column):
        return states(model, inputs[:, :column])[:, -1]

    return thought_by_thought(model, ids, thought_id, right)


@planted("thought_gradients", "detached between the thoughts")
def gradient_of_leaves(model, ids, labels, thought_id):
    def wrong(inputs, column):
        return states(model, inputs[:, :column])[:, -1].detach().requires_grad_()

    hidden, thoughts = thought_by_thought(model, ids, thought_id, wrong)
    loss_of(model, hidden, labels).backward()
    return [thought.grad for thought in thoughts]


@planted("thought_gradients", "loss is off by one position")
def gradient_of_an_unshifted_loss(model, ids, labels, thought_id):
    hidden, thoughts = right_thoughts(model, ids, thought_id)
    return list(torch.autograd.grad(loss_of(model, hidden, labels, shift=0), thoughts))


@planted("thought_gradients", "counts every token")
def gradient_of_an_unmasked_loss(model, ids, labels, thought_id):
    hidden, thoughts = right_thoughts(model, ids, thought_id)
    return list(torch.autograd.grad(loss_of(model, hidden, ids), thoughts))


@planted("thought_gradients", "is a sum")
def gradient_of_a_sum(model, ids, labels, thought_id):
    hidden, thoughts = right_thoughts(model, ids, thought_id)
    loss = loss_of(model, hidden, labels, reduction="sum")
    return list(torch.autograd.grad(loss, thoughts))


@planted("thought_gradients", "not the ones that were fed back")
def gradient_of_copies(model, ids, labels, thought_id):
    hidden, thoughts = right_thoughts(model, ids, thought_id)
    copies = [thought.clone() for thought in thoughts]
    return list(torch.autograd.grad(loss_of(model, hidden, labels), copies))


@planted("thought_gradients", "nothing to differentiate")
def gradient_without_a_graph(model, ids, labels, thought_id):
    with torch.no_grad():
        hidden, thoughts = right_thoughts(model, ids, thought_id)
    return list(torch.autograd.grad(loss_of(model, hidden, labels), thoughts))


@planted("thought_gradients", "the thoughts themselves")
def gradient_is_the_thoughts(model, ids, labels, thought_id):
    return right_thoughts(model, ids, thought_id)[1]


# --- 03, exercise 1: encode_stage -----------------------------------------------------------------


def encoded(
    problem, tokenizer, stage, max_stage, c, *, kept=None, count=None, order="qbtesax", **how
):
    """The right row, around choices that may be wrong; `order` says which parts, in which order.

    q question, b `<bot>`, t thoughts, e `<eot>`, s steps, a answer, x end of sequence.
    """
    special, line = how.get("special", False), how.get("line", "\n")
    steps, most = list(problem.steps), min(stage, max_stage)
    kept = (steps[stage:] if stage <= max_stage else []) if kept is None else kept(steps)
    bot, eot, thought = tokenizer.convert_tokens_to_ids(["<bot>", "<eot>", "<thought>"])

    def ids(text):
        return tokenizer(text, add_special_tokens=special).input_ids

    parts = {
        "q": tokenizer(problem.question + line).input_ids,
        "b": [bot],
        "t": [thought] * (most * c if count is None else count),
        "e": [eot],
        "s": [token for step in kept for token in ids(step + line)],
        "a": ids(how.get("answer", "### {}").format(problem.answer)),
        "x": [tokenizer.eos_token_id],
    }
    return [token for name in order for token in parts[name]]


@planted("encode_stage", "you drop the last steps")
def encoded_without_the_last_steps(problem, tokenizer, stage, max_stage, c):
    def kept(steps):
        return steps[: max(len(steps) - stage, 0)] if stage <= max_stage else []

    return encoded(problem, tokenizer, stage, max_stage, c, kept=kept)


@planted("encode_stage", "the steps that they replace are there too")
def encoded_with_all_steps(problem, tokenizer, stage, max_stage, c):
    def kept(steps):
        return steps if stage <= max_stage else []

    return encoded(problem, tokenizer, stage, max_stage, c, kept=kept)


@planted("encode_stage", "you drop one step only")
def encoded_without_one_step(problem, tokenizer, stage, max_stage, c):
    def kept(steps):
        return steps[min(stage, 1) :] if stage <= max_stage else []

    return encoded(problem, tokenizer, stage, max_stage, c, kept=kept)


@planted("encode_stage", "You drop k·c steps")
def encoded_with_c_times_the_steps_dropped(problem, tokenizer, stage, max_stage, c):
    def kept(steps):
        return steps[stage * c :] if stage <= max_stage else []

    return encoded(problem, tokenizer, stage, max_stage, c, kept=kept)


@planted("encode_stage", "however many the problem has")
def encoded_with_steps_past_the_last_stage(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, kept=lambda steps: steps[stage:])


@planted("encode_stage", "you treat a stage past max_stage like max_stage")
def encoded_with_the_stage_capped(problem, tokenizer, stage, max_stage, c):
    stage = min(stage, max_stage)
    return encoded(problem, tokenizer, stage, max_stage, c)


@planted("encode_stage", "Compare with >, not with >=")
def encoded_with_the_last_stage_too_early(problem, tokenizer, stage, max_stage, c):
    def kept(steps):
        return [] if stage >= max_stage else steps[stage:]

    return encoded(problem, tokenizer, stage, max_stage, c, kept=kept)


@planted("encode_stage", "you forget c")
def encoded_without_c(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, 1)


@planted("encode_stage", "not capped")
def encoded_without_a_cap(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, count=stage * c)


@planted("encode_stage", "with few steps fewer thoughts")
def encoded_with_fewer_thoughts(problem, tokenizer, stage, max_stage, c):
    count = min(stage, max_stage, len(problem.steps)) * c
    return encoded(problem, tokenizer, stage, max_stage, c, count=count)


@planted("encode_stage", "the cap is max_stage·c")
def encoded_with_thoughts_capped_at_max_stage(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, count=min(stage * c, max_stage))


@planted("encode_stage", "each token of a removed step")
def encoded_with_a_thought_per_token(problem, tokenizer, stage, max_stage, c):
    removed = problem.steps[: min(stage, max_stage)]
    count = sum(len(tokenizer(s + "\n", add_special_tokens=False).input_ids) for s in removed) * c
    return encoded(problem, tokenizer, stage, max_stage, c, count=count)


@planted("encode_stage", "missing at stage 0")
def encoded_without_markers_at_stage_0(problem, tokenizer, stage, max_stage, c):
    order = "qbtesax" if stage else "qsax"
    return encoded(problem, tokenizer, stage, max_stage, c, order=order)


@planted("encode_stage", "missing at every stage")
def encoded_without_markers(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, order="qtsax")


@planted("encode_stage", "<eot> is missing")
def encoded_without_eot(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, order="qbtsax")


@planted("encode_stage", "end of sequence is missing")
def encoded_without_an_end(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, order="qbtesa")


@planted("encode_stage", "steps come before <bot>")
def encoded_with_steps_first(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, order="qsbteax")


@planted("encode_stage", "before the question")
def encoded_with_thoughts_first(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, order="bteqsax")


@planted("encode_stage", "the mark ### is missing")
def encoded_without_the_mark(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, answer="{}")


@planted("encode_stage", "line break behind the answer")
def encoded_with_a_line_break_too_many(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, answer="### {}\n")


@planted("encode_stage", "line breaks are missing")
def encoded_without_line_breaks(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, line="")


@planted("encode_stage", "in the middle of the row")
def encoded_with_special_tokens(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, special=True)


@planted("encode_stage", "in one go")
def encoded_in_one_go(problem, tokenizer, stage, max_stage, c):
    start = encoded(problem, tokenizer, stage, max_stage, c, order="qbte")
    kept = problem.steps[stage:] if stage <= max_stage else ()
    text = "".join(step + "\n" for step in kept) + f"### {problem.answer}"
    rest = tokenizer(text, add_special_tokens=False).input_ids
    return [*start, *rest, tokenizer.eos_token_id]


@planted("encode_stage", "the question is missing")
def encoded_without_the_question(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, order="btesax")


@planted("encode_stage", "token 11 is '<eot>', it should be '<bot>'")
def encoded_with_markers_in_the_wrong_order(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, order="qetbsax")


# --- 03, exercise 2: make_labels ------------------------------------------------------------------


def is_behind(ids, eot_id):
    found = (ids == eot_id).long()
    return (found.cumsum(1) - found).bool()


def learned(ids, mask, eot_id):
    return torch.where(is_behind(ids, eot_id) & mask.bool(), ids, -100)


@planted("make_labels", "shifted by hand")
def labels_shifted_by_hand(ids, mask, eot_id):
    return F.pad(learned(ids, mask, eot_id)[:, 1:], (0, 1), value=-100)


@planted("make_labels", "shifted to the right")
def labels_shifted_to_the_right(ids, mask, eot_id):
    return F.pad(learned(ids, mask, eot_id), (1, -1), value=-100)


@planted("make_labels", "nothing is masked")
def labels_are_the_ids(ids, mask, eot_id):
    return ids.clone()


@planted("make_labels", "only padding is masked")
def labels_everywhere(ids, mask, eot_id):
    return ids.masked_fill(mask == 0, -100)


@planted("make_labels", "loss on the question")
def labels_on_the_question(ids, mask, eot_id):
    latent = (ids == eot_id) | (ids == eot_id - 1) | (ids == eot_id + 1)
    return ids.masked_fill((mask == 0) | latent, -100)


@planted("make_labels", "loss on the thoughts")
def labels_on_the_thoughts(ids, mask, eot_id):
    behind_bot = is_behind(ids, eot_id - 1)
    return ids.masked_fill((mask == 0) | ~behind_bot, -100)


@planted("make_labels", "Only the question is masked")
def labels_from_bot_on(ids, mask, eot_id):
    from_bot = (ids == eot_id - 1).cumsum(1).bool()
    return ids.masked_fill((mask == 0) | ~from_bot, -100)


@planted("make_labels", "placeholders have the label")
def labels_on_placeholders(ids, mask, eot_id):
    return torch.where(ids == eot_id + 1, ids, learned(ids, mask, eot_id))


@planted("make_labels", "<eot> has a label")
def labels_on_eot(ids, mask, eot_id):
    return torch.where(ids == eot_id, ids, learned(ids, mask, eot_id))


@planted("make_labels", "mask both markers")
def labels_on_markers(ids, mask, eot_id):
    return torch.where((ids == eot_id) | (ids == eot_id - 1), ids, learned(ids, mask, eot_id))


@planted("make_labels", "first token behind <eot> has no label")
def labels_one_too_late(ids, mask, eot_id):
    labels = learned(ids, mask, eot_id)
    labels[:, 1:][ids[:, :-1] == eot_id] = -100
    return labels


@planted("make_labels", "padding has labels")
def labels_on_padding(ids, mask, eot_id):
    return torch.where(is_behind(ids, eot_id), ids, -100)


@planted("make_labels", "take padding from the attention mask")
def labels_without_what_pads(ids, mask, eot_id):
    return learned(ids, ids != ids[:, -1:], eot_id)


@planted("make_labels", "the value that the loss leaves out is -100")
def labels_masked_by_zero(ids, mask, eot_id):
    return ids * is_behind(ids, eot_id) * mask


@planted("make_labels", "upside down")
def labels_upside_down(ids, mask, eot_id):
    return ids.masked_fill(is_behind(ids, eot_id) & mask.bool(), -100)


@planted("make_labels", "no column has a label")
def labels_nowhere(ids, mask, eot_id):
    return torch.full_like(ids, -100)


# --- 03, exercise 3: count_thoughts ---------------------------------------------------------------


def most_of(steps, max_stage, pad_to_max):
    return max_stage if pad_to_max else min(steps, max_stage)


@planted("count_thoughts", "swapped")
def counted_the_other_way_round(steps, stage, max_stage, c, pad_to_max):
    most = most_of(steps, max_stage, pad_to_max)
    return min(stage, most) * c, (stage if stage <= max_stage else most) * c


@planted("count_thoughts", "forget c")
def counted_without_c(steps, stage, max_stage, c, pad_to_max):
    most = most_of(steps, max_stage, pad_to_max)
    return stage if stage <= max_stage else most, min(stage, most)


@planted("count_thoughts", "the rule of training for the prompt")
def counted_as_in_training(steps, stage, max_stage, c, pad_to_max):
    count = (stage if stage <= max_stage else most_of(steps, max_stage, pad_to_max)) * c
    return count, count


@planted("count_thoughts", "the rule of the prompt for training")
def counted_as_in_the_prompt(steps, stage, max_stage, c, pad_to_max):
    count = min(stage, most_of(steps, max_stage, pad_to_max)) * c
    return count, count


@planted("count_thoughts", "in training, your count is not capped")
def counted_without_a_cap_in_training(steps, stage, max_stage, c, pad_to_max):
    return stage * c, min(stage, most_of(steps, max_stage, pad_to_max)) * c


@planted("count_thoughts", "you leave pad_to_max out")
def counted_as_if_padded_in_training(steps, stage, max_stage, c, pad_to_max):
    return min(stage, max_stage) * c, min(stage, most_of(steps, max_stage, pad_to_max)) * c


@planted("count_thoughts", "in the prompt, your count is not capped")
def counted_without_a_cap_in_the_prompt(steps, stage, max_stage, c, pad_to_max):
    most = most_of(steps, max_stage, pad_to_max)
    return (stage if stage <= max_stage else most) * c, min(
        stage, stage if pad_to_max else steps
    ) * c


@planted("count_thoughts", "whatever the stage")
def counted_in_full_in_the_prompt(steps, stage, max_stage, c, pad_to_max):
    most = most_of(steps, max_stage, pad_to_max)
    return (stage if stage <= max_stage else most) * c, most * c


@planted("count_thoughts", "all problems get equally many")
def counted_by_steps_in_the_prompt(steps, stage, max_stage, c, pad_to_max):
    most = most_of(steps, max_stage, pad_to_max)
    return (stage if stage <= max_stage else most) * c, min(stage, max_stage, steps) * c


@planted("count_thoughts", "pad_to_max is upside down")
def counted_with_padding_upside_down(steps, stage, max_stage, c, pad_to_max):
    most = most_of(steps, max_stage, not pad_to_max)
    return (stage if stage <= max_stage else most) * c, min(stage, most) * c


@planted("count_thoughts", "multiply by c too early")
def counted_with_c_too_early(steps, stage, max_stage, c, pad_to_max):
    most = most_of(steps, max_stage, pad_to_max)
    return stage * c if stage <= max_stage else min(stage * c, most), min(stage * c, most)


# --- 03, exercise 5: plan -------------------------------------------------------------------------


def stages_of(phases, steps_per_epoch):
    return [stage for stage, epochs in phases for _ in range(epochs * steps_per_epoch)]


def news(stages, steps_per_epoch, reset):
    """The right resets of a list of stages."""
    found = []
    for step, stage in enumerate(stages):
        begins = step % steps_per_epoch == 0 if reset == "epoch" else stage != stages[step - 1]
        found.append(begins or step == 0)
    return found


@planted("plan", "never say that the optimizer is new")
def plan_without_resets(phases, steps_per_epoch, reset):
    return [(stage, False) for stage in stages_of(phases, steps_per_epoch)]


@planted("plan", "very first step")
def plan_without_a_first_optimizer(phases, steps_per_epoch, reset):
    stages = stages_of(phases, steps_per_epoch)
    new = [False, *news(stages, steps_per_epoch, reset)[1:]]
    return list(zip(stages, new, strict=True))


@planted("plan", "reset at every step")
def plan_with_resets_everywhere(phases, steps_per_epoch, reset):
    return [(stage, True) for stage in stages_of(phases, steps_per_epoch)]


@planted("plan", "at every epoch although")
def plan_by_epochs(phases, steps_per_epoch, reset):
    stages = stages_of(phases, steps_per_epoch)
    return list(zip(stages, news(stages, steps_per_epoch, "epoch"), strict=True))


@planted("plan", "leave out reset='epoch'")
def plan_by_stages(phases, steps_per_epoch, reset):
    stages = stages_of(phases, steps_per_epoch)
    return list(zip(stages, news(stages, steps_per_epoch, "stage"), strict=True))


@planted("plan", "reset at every phase")
def plan_by_phases(phases, steps_per_epoch, reset):
    entries = []
    for stage, epochs in phases:
        for step in range(epochs * steps_per_epoch):
            entries.append((stage, step % (steps_per_epoch if reset == "epoch" else 10**6) == 0))
    return entries


@planted("plan", "one step too late")
def plan_one_step_late(phases, steps_per_epoch, reset):
    stages = stages_of(phases, steps_per_epoch)
    new = news(stages, steps_per_epoch, reset)
    late = [True, False, *new[1:-1]]
    return list(zip(stages, late, strict=True))


@planted("plan", "one step too early")
def plan_one_step_early(phases, steps_per_epoch, reset):
    stages = stages_of(phases, steps_per_epoch)
    new = news(stages, steps_per_epoch, reset)
    early = [True, *new[2:], reset == "epoch"]
    return list(zip(stages, early, strict=True))


@planted("plan", "one entry for each epoch")
def plan_of_epochs(phases, steps_per_epoch, reset):
    stages = stages_of(phases, 1)
    return list(zip(stages, news(stages, 1, reset), strict=True))


@planted("plan", "you number the phases")
def plan_with_numbered_phases(phases, steps_per_epoch, reset):
    numbered = [(number, epochs) for number, (_, epochs) in enumerate(phases)]
    stages = stages_of(numbered, steps_per_epoch)
    return list(zip(stages, news(stages, steps_per_epoch, reset), strict=True))


# --- 03, exercise 4: reach ------------------------------------------------------------------------


def reached(model, ids, labels, thought_id, cut, *, shift=1, loss_for=None, spoil=None):
    """The right gradients per label, (m, n, d), then spoiled; lengths (n, m)."""

    def feed(inputs, column):
        thought = states(model, inputs[:, :column])[:, -1]
        return thought.detach().requires_grad_() if cut else thought

    hidden, thoughts = thought_by_thought(model, ids, thought_id, feed)
    logits, rows = model.lm_head(hidden)[0], []
    for column in (labels[0] != -100).nonzero().flatten().tolist():
        loss = F.cross_entropy(logits[column - shift], labels[0, column])
        loss = loss if loss_for is None else loss_for(logits, loss)
        rows.append(torch.cat(torch.autograd.grad(loss, thoughts, retain_graph=True)))
    gradients = torch.stack(rows)  # (m, n, d)
    gradients = gradients if spoil is None else spoil(gradients)
    return gradients.norm(dim=-1).T


@planted("reach", "with cut=True you give the gradient with all its ways")
def reached_without_cutting(model, ids, labels, thought_id, cut):
    return reached(model, ids, labels, thought_id, False)


@planted("reach", "with cut=False you give the direct way only")
def reached_with_leaves_always(model, ids, labels, thought_id, cut):
    return reached(model, ids, labels, thought_id, True)


@planted("reach", "off by one position")
def reached_from_the_column_itself(model, ids, labels, thought_id, cut):
    return reached(model, ids, labels, thought_id, cut, shift=0)


@planted("reach", "pile up from label to label")
def reached_with_gradients_added(model, ids, labels, thought_id, cut):
    return reached(model, ids, labels, thought_id, cut, spoil=lambda g: g.cumsum(0))


@planted("reach", "gradient of the whole loss. ")
def reached_by_the_whole_loss(model, ids, labels, thought_id, cut):
    def whole(logits, loss):
        return F.cross_entropy(logits[:-1], labels[0, 1:])

    return reached(model, ids, labels, thought_id, cut, loss_for=whole)


@planted("reach", "as a sum")
def reached_by_the_summed_loss(model, ids, labels, thought_id, cut):
    def whole(logits, loss):
        return F.cross_entropy(logits[:-1], labels[0, 1:], reduction="sum")

    return reached(model, ids, labels, thought_id, cut, loss_for=whole)


@planted("reach", "divide by the number of labels")
def reached_by_a_share_of_the_loss(model, ids, labels, thought_id, cut):
    count = (labels != -100).sum()
    return reached(model, ids, labels, thought_id, cut, loss_for=lambda _, loss: loss / count)


@planted("reach", "squared lengths")
def reached_squared(model, ids, labels, thought_id, cut):
    return reached(model, ids, labels, thought_id, cut) ** 2


@planted("reach", "sums of absolute values")
def reached_in_absolute_values(model, ids, labels, thought_id, cut):
    def spoil(gradients):
        return gradients.abs().sum(-1, keepdim=True)

    return reached(model, ids, labels, thought_id, cut, spoil=spoil)


@planted("reach", "reverse order")
def reached_backwards(model, ids, labels, thought_id, cut):
    return reached(model, ids, labels, thought_id, cut).flip(0)


@planted("reach", "one row for each thought, one column for each label")
def reached_transposed(model, ids, labels, thought_id, cut):
    return reached(model, ids, labels, thought_id, cut).T


# --- 01, exercise 1: fed_from ---------------------------------------------------------------------


def latent_between(tokens, first, last):
    """Latent from `first` positions after <bot> to `last` after the last thought."""
    if "<bot>" not in tokens:
        return [None] * len(tokens)
    start = tokens.index("<bot>")
    end = start + tokens.count("<thought>")
    return [at - 1 if start + first <= at <= end + last else None for at in range(len(tokens))]


@planted("fed_from", "<bot> does not get a hidden state")
def fed_at_bot(tokens):
    return latent_between(tokens, 0, 0)


@planted("fed_from", "<eot> does not get a hidden state")
def fed_at_eot(tokens):
    return latent_between(tokens, 1, 1)


@planted("fed_from", "neither <bot> nor <eot>")
def fed_at_both_markers(tokens):
    return latent_between(tokens, 0, 1)


@planted("fed_from", "the first thought is missing")
def fed_without_the_first(tokens):
    return latent_between(tokens, 2, 0)


@planted("fed_from", "off by one: a placeholder")
def fed_from_itself(tokens):
    return [at if token == "<thought>" else None for at, token in enumerate(tokens)]


@planted("fed_from", "every thought comes from <bot>")
def fed_from_bot_always(tokens):
    return [tokens.index("<bot>") if token == "<thought>" else None for token in tokens]


@planted("fed_from", "not where it goes in")
def fed_where_it_is_taken(tokens):
    return [at if after == "<thought>" else None for at, after in enumerate([*tokens[1:], "end"])]


@planted("fed_from", "everything after <bot>")
def fed_to_the_end(tokens):
    seen, sources = False, []
    for at, token in enumerate(tokens):
        sources.append(at - 1 if seen else None)
        seen = seen or token == "<bot>"
    return sources


@planted("fed_from", "positions count from 0 here")
def fed_counted_from_bot(tokens):
    number, sources = 0, []
    for token in tokens:
        sources.append(number if token == "<thought>" else None)
        number += token == "<thought>"
    return sources


@planted("fed_from", "ValueError")
def fed_needs_an_eot(tokens):
    return latent_between(tokens[: tokens.index("<eot>")], 1, 0)


# --- 01, exercise 2: chain_holds ------------------------------------------------------------------


@planted("chain_holds", "the first edge is not checked")
def chain_without_its_first_edge(facts, asked, answer, steps):
    return bool(steps) and steps[-1] == answer and all(e in facts for e in pairwise(steps))


@planted("chain_holds", "it says False for a good chain: Tom")
def chain_of_reversed_edges(facts, asked, answer, steps):
    chain = (asked, *steps)
    return chain[-1] == answer and all((b, a) in facts for a, b in pairwise(chain))


@planted("chain_holds", "in the wrong direction")
def chain_in_both_directions(facts, asked, answer, steps):
    chain = (asked, *steps)
    return chain[-1] == answer and all(
        (a, b) in facts or (b, a) in facts for a, b in pairwise(chain)
    )


@planted("chain_holds", "Only the ends of the chain")
def chain_of_two_ends(facts, asked, answer, steps):
    return bool(steps) and (asked, steps[0]) in facts and steps[-1] == answer


def reached_from(facts, start):
    found, queue = {start}, [start]
    for name in queue:
        queue += [b for a, b in facts if a == name and b not in found]
        found |= set(queue)
    return found


@planted("chain_holds", "jumps over hops")
def chain_that_jumps(facts, asked, answer, steps):
    chain = (asked, *steps)
    ways = all(b in reached_from(facts, a) for a, b in pairwise(chain))
    return chain[-1] == answer and ways


@planted("chain_holds", "the end is not checked")
def chain_with_an_open_end(facts, asked, answer, steps):
    return bool(steps) and all(edge in facts for edge in pairwise((asked, *steps)))


@planted("chain_holds", "because a shorter one exists")
def chain_that_must_be_shortest(facts, asked, answer, steps):
    layer, hops = {asked}, 0
    while layer and answer not in layer:
        layer, hops = {b for a, b in facts if a in layer}, hops + 1
    right = all(edge in facts for edge in pairwise((asked, *steps)))
    return right and bool(steps) and steps[-1] == answer and len(steps) == hops


@planted("chain_holds", "a chain without steps")
def chain_may_be_empty(facts, asked, answer, steps):
    right = all(edge in facts for edge in pairwise((asked, *steps)))
    return right and (not steps or steps[-1] == answer)


@planted("chain_holds", "good chain of one step")
def chain_of_two_steps_at_least(facts, asked, answer, steps):
    chain = (asked, *steps)
    right = all(edge in facts for edge in pairwise(chain))
    return len(steps) > 1 and right and chain[-1] == answer


@planted("chain_holds", "True or False")
def chain_of_faults(facts, asked, answer, steps):
    return [edge for edge in pairwise((asked, *steps)) if edge not in facts]


# --- 01, exercise 3: step_holds -------------------------------------------------------------------


def recomputed(step, number, divide=None, equal=None):
    left, right = step[2:-2].split("=")
    sign = next(mark for mark in "+-*/" if mark in left)
    a, b = map(number, left.split(sign))
    if sign == "/":
        value = divide(a, b) if divide else a / b
    else:
        value = a + b if sign == "+" else a - b if sign == "-" else a * b
    return equal(value, number(right)) if equal else value == number(right)


def exact(text):
    value = Fraction(text.replace(",", "").rstrip("%"))
    return value / 100 if "%" in text else value


@planted("step_holds", "floating point: 0.1 + 0.2")
def step_in_floats(step):
    return recomputed(step, lambda text: float(exact(text)))


@planted("step_holds", "floating point: 0.1 + 0.2")
def step_in_fractions_of_floats(step):
    return recomputed(step, lambda text: Fraction(float(exact(text))))


@planted("step_holds", "compares with a tolerance")
def step_with_a_tolerance(step):
    return recomputed(step, lambda text: float(exact(text)), equal=math.isclose)


@planted("step_holds", "the nearest float is the same")
def step_with_a_tiny_tolerance(step):
    return recomputed(step, exact, equal=lambda a, b: abs(a - b) < 1e-9)


@planted("step_holds", "it compares rounded values")
def step_rounded(step):
    return recomputed(step, exact, equal=lambda a, b: round(a, 2) == round(b, 2))


@planted("step_holds", "the percent sign is dropped")
def step_without_percent(step):
    return recomputed(step.replace("%", ""), exact)


@planted("step_holds", "ValueError")
def step_that_cannot_read_percent(step):
    return recomputed(step, lambda text: Fraction(text.replace(",", "")))


@planted("step_holds", "ValueError: Invalid literal for Fraction: '1,250'")
def step_that_cannot_read_commas(step):
    return recomputed(step, Fraction)


@planted("step_holds", "a comma is a thousands separator")
def step_with_a_comma_for_a_point(step):
    return recomputed(step, lambda text: exact(text.split(",")[0]))


@planted("step_holds", "cut to a whole number")
def step_of_whole_divisions(step):
    return recomputed(step, exact, divide=lambda a, b: a // b if b > 1 and a > 1 else a / b)


@planted("step_holds", "a result may be negative")
def step_of_positive_results(step):
    return "=-" not in step and recomputed(step, exact)


@planted("step_holds", "it says True for <<12-5=8>>")
def step_believed(step):
    return "=" in step


# --- 01, exercise 4: add_node ---------------------------------------------------------------------


def node_added(
    labels, depths, count, r, sample,
    sides=((0, 1), (0, 2), (0, 1, 2, 3)),
    weight=lambda depth: depth * 1.5 + 1,
    join=lambda below: functools.reduce(operator.or_, below, 0),
    deepen=lambda above: 1 + min(above) if above else 0,
    most=min,
):  # fmt: skip
    """The right step, around parts that may be wrong."""
    side = sides[0] if r <= 0.35 else sides[1] if r <= 0.7 else sides[2]
    candidates = [node for node, label in enumerate(labels) if label in side]
    weights = [weight(depths[node]) for node in candidates]
    parents = sample(candidates, weights, most(count, len(candidates)))
    below, above = [labels[p] for p in parents], [depths[p] for p in parents]
    return parents, join(below), deepen(above)


@planted("add_node", "nodes with label 0 are missing")
def node_without_group_0(*arguments):
    return node_added(*arguments, sides=((1,), (2,), (0, 1, 2, 3)))


@planted("add_node", "nodes with label 3 are candidates for every r")
def node_below_both_always(*arguments):
    return node_added(*arguments, sides=((0, 1, 3), (0, 2, 3), (0, 1, 2, 3)))


@planted("add_node", "candidates are chosen with `label & 1`")
def node_by_bits(*arguments):
    return node_added(*arguments, sides=((1, 3), (2, 3), (0, 1, 2, 3)))


@planted("add_node", "the two sides are swapped")
def node_on_the_other_side(*arguments):
    return node_added(*arguments, sides=((0, 2), (0, 1), (0, 1, 2, 3)))


@planted("add_node", "all nodes are candidates for every r")
def node_without_sides(*arguments):
    return node_added(*arguments, sides=((0, 1, 2, 3),) * 3)


@planted("add_node", "those with label 3 too")
def node_never_below_both(*arguments):
    return node_added(*arguments, sides=((0, 1), (0, 2), (0, 1, 2)))


@planted("add_node", "the candidates are")
def node_of_two_sides_at_most(*arguments):
    return node_added(*arguments, sides=((0, 1), (0, 2), (1, 2)))


@planted("add_node", "the weights are uniform")
def node_of_uniform_weights(*arguments):
    return node_added(*arguments, weight=lambda depth: 1)


@planted("add_node", "the factor 1.5 is missing")
def node_of_plain_depths(*arguments):
    return node_added(*arguments, weight=lambda depth: depth + 1)


@planted("add_node", "the + 1 is missing")
def node_of_weights_without_one(*arguments):
    return node_added(*arguments, weight=lambda depth: depth * 1.5)


@planted("add_node", "upside down")
def node_of_shallow_parents(*arguments):
    return node_added(*arguments, weight=lambda depth: 1 / (1 + 1.5 * depth))


@planted("add_node", "min(count, len(candidates))")
def node_of_too_many_parents(*arguments):
    return node_added(*arguments, most=lambda count, there: count)


@planted("add_node", "but sample was asked for 1")
def node_of_one_parent(*arguments):
    return node_added(*arguments, most=lambda count, there: min(count, 1))


@planted("add_node", "is the AND of the parents' labels")
def node_label_and(*arguments):
    return node_added(*arguments, join=lambda below: functools.reduce(operator.and_, below, 3))


@planted("add_node", "is the sum of the parents' labels")
def node_label_sum(*arguments):
    return node_added(*arguments, join=sum)


@planted("add_node", "is the XOR of the parents' labels")
def node_label_xor(*arguments):
    return node_added(*arguments, join=lambda below: functools.reduce(operator.xor, below, 0))


@planted("add_node", "is the largest of the parents' labels")
def node_label_max(*arguments):
    return node_added(*arguments, join=lambda below: max(below, default=0))


@planted("add_node", "only one parent's label")
def node_label_of_the_first(*arguments):
    return node_added(*arguments, join=lambda below: below[0] if below else 0)


@planted("add_node", "a node without parents should have label 0")
def node_label_alone(*arguments):
    return node_added(
        *arguments, join=lambda below: functools.reduce(operator.or_, below) if below else 1
    )


@planted("add_node", "the depth is that of the parent")
def node_depth_of_the_parent(*arguments):
    return node_added(*arguments, deepen=lambda above: min(above, default=0))


@planted("add_node", "counted along the longest way")
def node_depth_of_the_longest_way(*arguments):
    return node_added(*arguments, deepen=lambda above: 1 + max(above) if above else 0)


@planted("add_node", "a node without parents should have depth 0")
def node_depth_alone(*arguments):
    return node_added(*arguments, deepen=lambda above: 1 + min(above, default=0))


@planted("add_node", "sample should be called once")
def node_of_parents_one_by_one(labels, depths, count, r, sample):
    nodes = list(range(len(labels)))
    parents = [sample(nodes, [1.0] * len(nodes), 1)[0] for _ in range(count)]
    return parents, 0, 0


# --- 01, exercise 5: farther_option ---------------------------------------------------------------


def hops_from(statement, starts):
    hops, queue = dict.fromkeys(starts, 0), list(starts)
    for name in queue:
        for parent, child in statement.facts:
            if parent == name and child not in hops:
                hops[child] = hops[name] + 1
                queue.append(child)
    return hops


def parentless(statement):
    return {a for a, _ in statement.facts} - {b for _, b in statement.facts}


def ways_to(statement, option):
    """Hops to an option from each parentless node that leads to it."""
    found = [hops_from(statement, [start]) for start in parentless(statement)]
    return [hops[option] for hops in found if option in hops]


def higher(statement, score, tie="tie"):
    first, second = statement.options
    if score(first) == score(second):
        return tie
    return first if score(first) > score(second) else second


@planted("farther_option", "takes the option that can be reached")
def option_that_answers_the_question(statement):
    hops = hops_from(statement, [statement.asked])
    return higher(statement, lambda option: hops.get(option, -1))


@planted("farther_option", "the option out of reach counts as farther")
def option_out_of_reach(statement):
    hops = hops_from(statement, [statement.asked])
    return higher(statement, lambda option: hops.get(option, math.inf))


@planted("farther_option", "it takes the nearer option")
def option_that_is_nearer(statement):
    hops = hops_from(statement, parentless(statement))
    return higher(statement, lambda option: -hops[option])


@planted("farther_option", "from the farthest parentless node")
def option_far_from_the_farthest(statement):
    return higher(statement, lambda option: max(ways_to(statement, option)))


@planted("farther_option", "the mean over the parentless nodes")
def option_far_on_average(statement):
    return higher(statement, lambda option: statistics.fmean(ways_to(statement, option)))


@planted("farther_option", "the longest way down")
def option_by_the_longest_way(statement):
    def layer(name):
        return max((layer(a) + 1 for a, b in statement.facts if b == name), default=0)

    return higher(statement, layer)


@planted("farther_option", "on a tie it takes the first option")
def option_first_on_a_tie(statement):
    hops = hops_from(statement, parentless(statement))
    return higher(statement, hops.__getitem__, statement.options[0])


@planted("farther_option", "on a tie it takes the second option")
def option_second_on_a_tie(statement):
    hops = hops_from(statement, parentless(statement))
    return higher(statement, hops.__getitem__, statement.options[1])


@planted("farther_option", "start from every name")
def option_from_everywhere(statement):
    hops = hops_from(statement, {name for fact in statement.facts for name in fact})
    return higher(statement, hops.__getitem__)


@planted("farther_option", "it should return 'tie', not None")
def option_none_on_a_tie(statement):
    hops = hops_from(statement, parentless(statement))
    return higher(statement, hops.__getitem__, None)


# --- 07, exercise 1: wilson_interval --------------------------------------------------------------


def wilson(right, total, z=1.959963984540054):
    share, grown = right / total, 1 + z * z / total
    middle = (share + z * z / (2 * total)) / grown
    half = z / grown * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return middle, half


@planted("wilson_interval", "normal approximation, p ±")
def interval_by_the_normal_approximation(right, total):
    share = right / total
    half = 1.96 * math.sqrt(share * (1 - share) / total)
    return share - half, share + half


@planted("wilson_interval", "only its ends are hidden")
def interval_cut_at_zero_and_one(right, total):
    low, high = interval_by_the_normal_approximation(right, total)
    return max(0.0, low), min(1.0, high)


@planted("wilson_interval", "z is 1.645")
def interval_of_one_side(right, total):
    middle, half = wilson(right, total, 1.645)
    return middle - half, middle + half


@planted("wilson_interval", "are per cent")
def interval_in_per_cent(right, total):
    middle, half = wilson(right, total)
    return 100 * (middle - half), 100 * (middle + half)


@planted("wilson_interval", "stands around the share itself")
def interval_around_the_share(right, total):
    _, half = wilson(right, total)
    return right / total - half, right / total + half


@planted("wilson_interval", "ends are swapped")
def interval_from_high_to_low(right, total):
    middle, half = wilson(right, total)
    return middle + half, middle - half


@planted("wilson_interval", "divided by 4n²")
def interval_with_a_power_missing(right, total):
    z, share = 1.96, right / total
    half = z * math.sqrt(share * (1 - share) / total + z**2 / (4 * total)) / (1 + z**2 / total)
    middle, _ = wilson(right, total)
    return middle - half, middle + half


# --- 07, exercise 2: mcnemar ----------------------------------------------------------------------


def splits(first, second):
    pairs = [a + b for a, b in zip(first, second, strict=True)]
    return pairs.count("10"), pairs.count("01")


def coin_tail(heads, tosses):
    return sum(math.comb(tosses, k) for k in range(heads + 1)) / 2**tosses


@planted("mcnemar", "unpaired test")
def test_without_pairs(first, second):
    n, a, b = len(first), first.count("1") / len(first), second.count("1") / len(second)
    mean = (a + b) / 2
    return math.erfc(abs(a - b) / math.sqrt(mean * (1 - mean) * 2 / n) / math.sqrt(2))


@planted("mcnemar", "both agree are counted")
def test_with_all_problems(first, second):
    return min(1.0, 2 * coin_tail(min(splits(first, second)), len(first)))


@planted("mcnemar", "one-sided")
def test_of_one_side(first, second):
    return coin_tail(min(splits(first, second)), sum(splits(first, second)))


@planted("mcnemar", "a p-value above 1")
def test_without_a_cap(first, second):
    return 2 * test_of_one_side(first, second)


@planted("mcnemar", "takes the second model's count")
def test_of_the_second_count(first, second):
    return min(1.0, 2 * coin_tail(splits(first, second)[1], sum(splits(first, second))))


@planted("mcnemar", "exactly this split")
def test_of_one_split(first, second):
    fewer, differ = min(splits(first, second)), sum(splits(first, second))
    return min(1.0, 2 * math.comb(differ, fewer) / 2**differ)


@planted("mcnemar", "approximation by chi-squared, made")
def test_by_chi_squared(first, second):
    a, b = splits(first, second)
    return math.erfc(math.sqrt((a - b) ** 2 / (a + b) / 2))


@planted("mcnemar", "chi-squared with a correction")
def test_by_corrected_chi_squared(first, second):
    a, b = splits(first, second)
    return math.erfc(math.sqrt(max(0, abs(a - b) - 1) ** 2 / (a + b) / 2))


# --- 07, exercise 4: longest_chain ----------------------------------------------------------------


@planted("longest_chain", "output of all layers")
def chain_without_thoughts(method, layers, thoughts, steps):
    return layers * (steps + 1) if method == "cot" else layers


@planted("longest_chain", "not one layer more")
def chain_with_one_layer_per_thought(method, layers, thoughts, steps):
    return layers + {"coconut": thoughts, "cot": steps}.get(method, 0)


@planted("longest_chain", "The last pass is missing")
def chain_without_the_last_pass(method, layers, thoughts, steps):
    return layers * {"coconut": thoughts, "cot": steps}.get(method, 1)


@planted("longest_chain", "These are the passes")
def chain_in_passes(method, layers, thoughts, steps):
    return {"coconut": thoughts, "cot": steps}.get(method, 0) + 1


@planted("longest_chain", "A pause token is the same vector")
def chain_through_pauses(method, layers, thoughts, steps):
    return layers * (1 + {"cot": steps, "no_cot": 0}.get(method, thoughts))


@planted("longest_chain", "a word instead of a vector")
def chain_not_through_words(method, layers, thoughts, steps):
    return layers * (1 + {"coconut": thoughts}.get(method, 0))


@planted("longest_chain", "Here the answer follows the question")
def chain_whatever_the_method(method, layers, thoughts, steps):
    if method == "pause_as_thought":
        return layers
    return layers * (1 + {"cot": steps}.get(method, thoughts))


# --- 07, exercise 3: verdict ----------------------------------------------------------------------


def exact_p(first, second):
    return min(1.0, test_without_a_cap(first, second))


def better(first, second):
    a, b = splits(first, second)
    return "first" if a > b else "second"


@planted("verdict", "intervals overlap, and yet")
def verdict_by_overlap(first, second, comparisons):
    (middle, half), (other, rest) = (wilson(s.count("1"), len(s)) for s in (first, second))
    return "undecided" if abs(middle - other) < half + rest else better(first, second)


@planted("verdict", "one of twenty falls below")
def verdict_of_one_among_many(first, second, comparisons):
    return better(first, second) if exact_p(first, second) < 0.05 else "undecided"


@planted("verdict", "so they would by luck")
def verdict_by_the_accuracies(first, second, comparisons):
    a, b = splits(first, second)
    return "undecided" if a == b else better(first, second)


@planted("verdict", "the test is two-sided")
def verdict_of_one_side(first, second, comparisons):
    p = test_of_one_side(first, second)
    return better(first, second) if p < 0.05 / comparisons else "undecided"


@planted("verdict", "Not to see a difference")
def verdict_that_they_are_equal(first, second, comparisons):
    clear = exact_p(first, second) < 0.05 / comparisons
    return better(first, second) if clear else "equal"


@planted("verdict", "The direction is wrong")
def verdict_the_wrong_way_round(first, second, comparisons):
    clear = exact_p(first, second) < 0.05 / comparisons
    return better(second, first) if clear else "undecided"


# --- 04, exercise 1: rate_at ----------------------------------------------------------------------


def rate(step, phases, peak, warmup, *, again=None, first=1, fall=None, cap=True):
    """The rate of a step; `again(stage, previous)` says where the warm-up begins anew."""
    again = again or (lambda stage, previous: stage != previous)
    fall = fall or (lambda done, steps, final: 1 - (1 - final) * done / steps)
    start = reset = 0
    previous = None
    for stage, steps, final in phases:
        if previous is None or again(stage, previous):
            reset = start
        if step < start + steps:
            warm = (step - reset + first) / warmup
            return peak * (min(1, warm) if cap else warm) * fall(step - start, steps, final)
        start, previous = start + steps, stage
    return 0.0


@planted("rate_at", "there is no warm-up")
def rate_without_warmup(step, phases, peak, warmup):
    return rate(step, phases, peak, 1)


@planted("rate_at", "begins at 0")
def rate_that_begins_at_zero(step, phases, peak, warmup):
    return rate(step, phases, peak, warmup, first=0)


@planted("rate_at", "warm up only once")
def rate_warmed_up_once(step, phases, peak, warmup):
    return rate(step, phases, peak, warmup, again=lambda stage, previous: False)


@planted("rate_at", "warm up at every phase")
def rate_warmed_up_in_every_phase(step, phases, peak, warmup):
    return rate(step, phases, peak, warmup, again=lambda stage, previous: True)


@planted("rate_at", "does not end")
def rate_that_rises_on(step, phases, peak, warmup):
    return rate(step, phases, peak, warmup, cap=False)


@planted("rate_at", "does not fall")
def rate_that_never_falls(step, phases, peak, warmup):
    return rate(step, phases, peak, warmup, fall=lambda *_: 1.0)


@planted("rate_at", "falls over the whole run")
def rate_that_falls_over_the_run(step, phases, peak, warmup):
    total, final = sum(steps for _, steps, _ in phases), phases[-1][2]
    warm = rate(step, phases, peak, warmup, fall=lambda *_: 1.0)
    return warm * (1 - (1 - final) * step / total)


@planted("rate_at", "one step ahead")
def rate_one_step_ahead(step, phases, peak, warmup):
    def fall(done, steps, final):
        return 1 - (1 - final) * (done + 1) / steps

    return rate(step, phases, peak, warmup, fall=fall)


@planted("rate_at", "as if it fell to 0 at final = 1")
def rate_that_falls_by_final(step, phases, peak, warmup):
    def fall(done, steps, final):
        return 1 - final * done / steps

    return rate(step, phases, peak, warmup, fall=fall)


# --- 04, exercise 4: accumulate -------------------------------------------------------------------


def labels_in(rows):
    return (rows["labels"][:, 1:] != -100).sum()


def accumulated(model, batch, size, weigh, *, zero="before", report=None, stop=None):
    """Gradients of the parts, each times `weigh(part, batch, number of parts)`."""
    parts = [
        {name: value[start : start + size] for name, value in batch.items()}
        for start in range(0, len(batch["labels"]), size)
    ][:stop]
    if zero == "before":
        model.zero_grad()
    means, total = [], 0.0
    for part in parts:
        if zero == "inside":
            model.zero_grad()
        mean = model(**part).loss
        (mean * weigh(part, batch, len(parts))).backward()
        means.append(mean.item())
        total += mean.item() * (labels_in(part) / labels_in(batch)).item()
    return report(means) if report else total


def token_share(part, batch, count):
    return labels_in(part) / labels_in(batch)


@planted("accumulate", "mean of the parts' means. The parts")
def accumulated_mean_of_means(model, batch, size):
    return accumulated(model, batch, size, lambda part, batch, count: 1 / count)


@planted("accumulate", "sum of the parts' means")
def accumulated_sum_of_means(model, batch, size):
    return accumulated(model, batch, size, lambda part, batch, count: 1)


@planted("accumulate", "weigh the parts by their rows")
def accumulated_by_rows(model, batch, size):
    def weigh(part, batch, count):
        return len(part["labels"]) / len(batch["labels"])

    return accumulated(model, batch, size, weigh)


@planted("accumulate", "divide twice")
def accumulated_divided_twice(model, batch, size):
    return accumulated(
        model, batch, size, lambda part, batch, count: token_share(part, batch, count) / count
    )


@planted("accumulate", "sum over tokens")
def accumulated_sum_over_tokens(model, batch, size):
    return accumulated(model, batch, size, lambda part, batch, count: labels_in(part))


@planted("accumulate", "do not zero the gradients before you begin")
def accumulated_without_zeroing(model, batch, size):
    return accumulated(model, batch, size, token_share, zero="never")


@planted("accumulate", "zero the gradients inside the loop")
def accumulated_zeroing_inside(model, batch, size):
    return accumulated(model, batch, size, token_share, zero="inside")


@planted("accumulate", "the last, smaller part is missing")
def accumulated_without_the_rest(model, batch, size):
    whole = len(batch["labels"]) // size
    return accumulated(model, batch, size, token_share, stop=whole)


@planted("accumulate", "no part may have more than size=3")
def accumulated_at_once(model, batch, size):
    model.zero_grad()
    loss = model(**batch).loss
    loss.backward()
    return loss


@planted("accumulate", "no parameter has a gradient afterwards")
def accumulated_and_thrown_away(model, batch, size):
    loss = accumulated(model, batch, size, token_share)
    model.zero_grad()
    return loss


@planted("accumulate", "the loss you return is that of the last part")
def accumulated_reporting_the_last(model, batch, size):
    return accumulated(model, batch, size, token_share, report=lambda means: means[-1])


@planted("accumulate", "the loss you return is the mean of the parts' means")
def accumulated_reporting_the_mean(model, batch, size):
    return accumulated(
        model, batch, size, token_share, report=lambda means: sum(means) / len(means)
    )


# --- 04, exercise 3: train_part -------------------------------------------------------------------


def part_of_a_run(
    model, make_optimizer, batch_at, rate_at, steps, saved, *,
    load=("model", "optimizer"), data_from=None, rate_from=None, zero=True, rates=True,
    save=deepcopy,
):  # fmt: skip
    optimizer, first = make_optimizer(model), 0
    if saved is not None:
        if "model" in load:
            model.load_state_dict(saved["model"])
        if "optimizer" in load:
            optimizer.load_state_dict(saved["optimizer"])
        first = saved["step"]
    for number in range(steps):
        if rates:
            for group in optimizer.param_groups:
                group["lr"] = rate_at(number + (first if rate_from is None else rate_from))
        model(batch_at(number + (first if data_from is None else data_from))).backward()
        optimizer.step()
        if zero:
            optimizer.zero_grad()
    states = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    return save({**states, "step": first + steps})


@planted("train_part", "gradients are never zeroed")
def run_that_never_zeroes(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(model, make_optimizer, batch_at, rate_at, steps, saved, zero=False)


@planted("train_part", "the learning rate of rate_at(step) is not set")
def run_without_rates(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(model, make_optimizer, batch_at, rate_at, steps, saved, rates=False)


@planted("train_part", "the weights are not carried over")
def run_that_forgets_the_weights(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(
        model, make_optimizer, batch_at, rate_at, steps, saved, load=("optimizer",)
    )


@planted("train_part", "the optimizer's state is forgotten")
def run_that_forgets_the_optimizer(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(model, make_optimizer, batch_at, rate_at, steps, saved, load=("model",))


@planted("train_part", "the step starts again at 0")
def run_that_forgets_the_step(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(
        model, make_optimizer, batch_at, rate_at, steps, saved, data_from=0, rate_from=0
    )


@planted("train_part", "the order of the data starts again")
def run_that_restarts_the_data(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(model, make_optimizer, batch_at, rate_at, steps, saved, data_from=0)


@planted("train_part", "the learning rate starts again")
def run_that_restarts_the_rate(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(model, make_optimizer, batch_at, rate_at, steps, saved, rate_from=0)


@planted("train_part", "only the weights are carried over")
def run_that_keeps_the_weights_alone(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(
        model, make_optimizer, batch_at, rate_at, steps, saved,
        load=("model",), data_from=0, rate_from=0,
    )  # fmt: skip


@planted("train_part", "gives the live tensors")
def run_that_keeps_references(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(
        model, make_optimizer, batch_at, rate_at, steps, saved, save=lambda states: states
    )


# --- 04, exercise 5: loss_share -------------------------------------------------------------------


@planted("loss_share", "the mean loss of the process alone")
def share_left_out(mean, labelled_here, labelled, processes):
    return mean


@planted("loss_share", "too small by the number of processes")
def share_without_processes(mean, labelled_here, labelled, processes):
    return mean * labelled_here / labelled


@planted("loss_share", "the averaging does that once more")
def share_divided_again(mean, labelled_here, labelled, processes):
    return mean * labelled_here / labelled / processes


@planted("loss_share", "sum over the tokens of the process")
def share_as_a_sum(mean, labelled_here, labelled, processes):
    return mean * labelled_here


@planted("loss_share", "upside down")
def share_upside_down(mean, labelled_here, labelled, processes):
    return mean * labelled / labelled_here * processes


# --- 04, exercise 2: wilson -----------------------------------------------------------------------


def plain_interval(right, total, z=1.96):
    share = right / total
    half = z * (share * (1 - share) / total) ** 0.5
    return share - half, share + half


def wilson_parts(right, total, z=1.96):
    share, shrink = right / total, 1 + z * z / total
    middle = share + z * z / (2 * total)
    return share, middle, z * (share * (1 - share) / total + (z / total) ** 2 / 4) ** 0.5, shrink


def wilson_with(right, total, z):
    _, middle, half, shrink = wilson_parts(right, total, z)
    return (middle - half) / shrink, (middle + half) / shrink


@planted("wilson", "leaves the range from 0 to 1")
def interval_by_the_plain_formula(right, total):
    return plain_interval(right, total)


@planted("wilson", "has no width at all")
def interval_by_the_plain_formula_cut_off(right, total):
    low, high = plain_interval(right, total)
    return max(0, low), min(1, high)


@planted("wilson", "leaves 10% outside")
def interval_of_ninety_percent(right, total):
    return wilson_with(right, total, 1.645)


@planted("wilson", "one standard error")
def interval_of_one_standard_error(right, total):
    return wilson_with(right, total, 1)


@planted("wilson", "in percent")
def interval_in_percent(right, total):
    low, high = wilson_with(right, total, 1.96)
    return 100 * low, 100 * high


@planted("wilson", "stands around the share")
def interval_around_the_share_itself(right, total):
    share, _, half, shrink = wilson_parts(right, total)
    return share - half / shrink, share + half / shrink


@planted("wilson", "forget to divide")
def interval_not_divided(right, total):
    _, middle, half, _ = wilson_parts(right, total)
    return middle - half, middle + half


@planted("wilson", "swapped")
def interval_upside_down(right, total):
    return wilson_with(right, total, 1.96)[::-1]


# --- 05 and 09, in files of their own -------------------------------------------------------------

import planted_inference  # noqa: E402, F401
import planted_real_models  # noqa: E402, F401

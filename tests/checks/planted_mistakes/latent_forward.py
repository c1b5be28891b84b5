"""Typical mistakes in 02, exercises 1 to 3: the passes."""

from __future__ import annotations

from itertools import pairwise

import torch
from transformers import DynamicCache

from planted_mistakes.models import (
    before_the_norm,
    columns_of,
    embed,
    layer_below,
    states,
    thought_by_thought,
    word_of,
)
from planted_mistakes.table import planted

# --- exercise 1: feed_back ------------------------------------------------------------------------


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


# --- exercise 2: think_without_cache --------------------------------------------------------------


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


# --- exercise 3: think_with_cache -----------------------------------------------------------------


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

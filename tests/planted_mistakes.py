"""Typical mistakes of learners, each with the words by which its check must name it.

`test_exercises.py` hands each `wrong` to its check and looks for `expect` in the message. Every
check that an exercise calls needs at least three mistakes with messages of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
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

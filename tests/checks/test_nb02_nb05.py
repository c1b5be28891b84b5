"""Solutions of exercises in 02 and 05 that were written independently of the checks.

A right one passes, however it is written; of a wrong one, the mistake is named. And what is
right by the checks is compared with single rows, without padding, positions or a cache.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from judging import Solutions, judge
from transformers import DynamicCache

from coconut_lab import checks, collate
from coconut_lab.checks.models import EOS, THOUGHT, padded_batch, random_models, with_thoughts
from coconut_lab.checks.nb05_inference import batches_after_eot
from coconut_lab.curriculum.stages_and_masks import Example

SOLUTIONS = Solutions()
right, wrong = SOLUTIONS.right, SOLUTIONS.wrong


def step(model, inputs, mask=None, positions=None, cache=None):
    """The last hidden states (B, d) of one pass."""
    return model.base_model(
        inputs_embeds=inputs, attention_mask=mask, position_ids=positions,
        past_key_values=cache, use_cache=cache is not None,
    ).last_hidden_state[:, -1]  # fmt: skip


@right("soft_word")
def word_by_a_sum(language_model, input_ids):
    first = language_model(input_ids=input_ids, use_cache=True)
    shares = torch.softmax(first.logits[0, -1], 0)
    embeddings = language_model.get_input_embeddings()(torch.arange(len(shares)))
    word = (shares[:, None] * embeddings).sum(0, keepdim=True)
    return word, step(language_model, word[:, None], cache=first.past_key_values)


@wrong("soft_word", "it replaces <bot>")
def put_in_place(language_model, input_ids):
    word, _ = word_by_a_sum(language_model, input_ids)
    inputs = language_model.get_input_embeddings()(input_ids).clone()
    inputs[:, -1] = word
    return word, step(language_model, inputs)


@right("think_without_cache")
def loop_over_whole_rows(language_model, input_ids, thought_id):
    """Every pass takes the whole row: what comes later cannot be seen, so nothing changes."""
    inputs, thoughts = language_model.get_input_embeddings()(input_ids), []
    for column in range(input_ids.shape[1]):
        if input_ids[0, column] == thought_id:
            hidden = language_model.base_model(inputs_embeds=inputs).last_hidden_state
            thoughts.append(hidden[:, column - 1])
            inputs = inputs.clone()
            inputs[:, column] = thoughts[-1]
    return language_model.base_model(inputs_embeds=inputs).last_hidden_state, tuple(thoughts)


@wrong("think_without_cache", "come from the first pass")
def all_thoughts_at_once(language_model, input_ids, thought_id):
    columns = (input_ids[0] == thought_id).nonzero().flatten()
    inputs = language_model.get_input_embeddings()(input_ids).clone()
    hidden = language_model.base_model(inputs_embeds=inputs).last_hidden_state
    inputs[:, columns] = hidden[:, columns - 1]
    thoughts = [hidden[:, column - 1] for column in columns]
    return language_model.base_model(inputs_embeds=inputs).last_hidden_state, thoughts


@right("early_answers")
def answers_with_the_tail_beside(model, ids, count, tail, look=copy.deepcopy):
    """Looks on copies; `look` could also not copy."""
    cache, inputs = DynamicCache(config=model.config), model.get_input_embeddings()(ids)
    found = torch.zeros(count + 1, model.config.vocab_size, dtype=inputs.dtype)
    for k in range(count + 1):
        inputs = step(model, inputs, cache=cache)[:, None]
        found[k] = model(input_ids=tail, past_key_values=look(cache)).logits[0, -1]
    return found


@right("early_answers")
def answers_in_one_pass_each(model, ids, count, tail):
    """The tail travels with the thought before it, and is cut off again."""
    cache, embed, found = DynamicCache(config=model.config), model.get_input_embeddings(), []
    inputs = embed(ids)
    for _ in range(count + 1):
        whole = torch.cat([inputs, embed(tail)], dim=1)
        output = model.base_model(inputs_embeds=whole, past_key_values=cache, use_cache=True)
        found.append(model.lm_head(output.last_hidden_state[0, -1]))
        cache.crop(-tail.shape[1])
        inputs = output.last_hidden_state[:, inputs.shape[1] - 1][:, None]
    return torch.stack(found)


@wrong("early_answers", "what you read on the way stays in the cache")
def answers_that_stay(*given):
    return answers_with_the_tail_beside(*given, look=lambda cache: cache)


@wrong("early_answers", "Send only columns that are not in the cache yet")
def answers_anew(model, ids, count, tail):
    return torch.cat([answers_in_one_pass_each(model, ids, k, tail)[-1:] for k in range(count + 1)])


@right("align")
def align_by_the_package(rows, thought_id, pad_id):
    tokenizer = SimpleNamespace(
        pad_token_id=pad_id, eos_token_id=EOS, convert_tokens_to_ids=lambda token: thought_id,
        convert_ids_to_tokens=lambda index: "<thought>",
    )  # fmt: skip
    return collate([Example(row, [-100] * len(row)) for row in rows], tokenizer)


@wrong("align", "you change the rows")
def rows_grow(rows, thought_id, pad_id):
    batch = align_by_the_package(rows, thought_id, pad_id)
    for row in rows:
        row += [pad_id] * (batch["input_ids"].shape[1] - len(row))
    return batch


@right("slope_at_thought")
def slope_by_autograd(language_model, input_ids, labels, thought_id, number, direction):
    hidden, thoughts = loop_over_whole_rows(language_model, input_ids, thought_id)
    loss = F.cross_entropy(language_model.lm_head(hidden)[0, :-1], labels[0, 1:])
    (gradient,) = torch.autograd.grad(loss, thoughts[number - 1])
    return (gradient * direction).sum()


@wrong("slope_at_thought", "`number` counts from 1")
def slope_of_the_next(*given):
    model, ids, labels, thought, number, direction = given
    if number == int((ids == thought).sum()):
        return 0.0
    return slope_by_autograd(model, ids, labels, thought, number + 1, direction)


@right("think_fixed")
def think_with_explicit_positions(language_model, input_ids, count, eot_id):
    cache, embed = DynamicCache(config=language_model.config), language_model.get_input_embeddings()
    columns = embed(torch.cat([input_ids, torch.full((1, count), 0), torch.tensor([[eot_id]])], 1))
    edges = [0, *range(input_ids.shape[1], input_ids.shape[1] + count), columns.shape[1]]
    hidden = None
    for start, stop in pairwise(edges):
        part = columns[:, start:stop].clone()
        if hidden is not None:
            part[:, 0] = hidden
        mask, positions = torch.ones(1, stop), torch.arange(start, stop)[None]
        hidden = step(language_model, part, mask, positions, cache)
    return hidden, cache


@wrong("think_fixed", "your cache has the wrong length")
def another_cache(language_model, *given):
    hidden, _ = think_with_explicit_positions(language_model, *given)
    return hidden, DynamicCache(config=language_model.config)


@right("write_on")
def write_by_ids(model, cache, hidden, mask, positions, count, fill=1):
    """With ids and the whole language model; positions from the mask."""
    tokens, logits = [], [model.lm_head(hidden)]
    for _ in range(count - 1):
        tokens.append(logits[-1].argmax(-1))
        mask, positions = F.pad(mask, (0, 1), value=fill), positions[:, -1:] + 1
        output = model(
            input_ids=tokens[-1][:, None], attention_mask=mask, position_ids=positions,
            past_key_values=cache,
        )  # fmt: skip
        logits.append(output.logits[:, -1])
    return torch.stack([*tokens, logits[-1].argmax(-1)], 1), torch.stack(logits, 1)


@wrong("write_on", "attention mask is not extended")
def new_tokens_are_padding(*given):
    return write_by_ids(*given, fill=0)


@right("halt_by_row")
def rows_leave(model, ids, mask, positions, stop, most):
    """Rows that have stopped leave the batch and its cache."""
    cache, inputs = DynamicCache(config=model.config), model.get_input_embeddings()(ids)
    rows, found = torch.arange(len(ids)), {}
    for k in range(most + 1):
        hidden = step(model, inputs, mask, positions, cache)
        stops = torch.ones(len(rows), dtype=torch.bool) if k == most else stop(k, hidden)
        found |= {int(rows[i]): (k, hidden[i]) for i in stops.nonzero().flatten()}
        keep = (~stops).nonzero().flatten()
        if not len(keep):
            break
        cache.batch_select_indices(keep)
        rows, inputs = rows[keep], hidden[keep][:, None]
        mask, positions = F.pad(mask[keep], (0, 1), value=1), positions[keep][:, -1:] + 1
    counts, states = zip(*(found[row] for row in sorted(found)), strict=True)
    return torch.tensor(counts), torch.stack(states)


@wrong("halt_by_row", "the rule is asked at k = 5")
def for_ever(*given):
    return rows_leave(*given[:-1], 100)


@right("train_classifier")
def classify(states, steps, train, test, scaled_back=True):
    """Scaled by the training problems, fitted by L-BFGS with a penalty."""
    states = states.data
    mean, spread = states[train].mean((0, 1)), states[train].std((0, 1))
    wanted = (torch.arange(states.shape[1])[None] >= steps[:, None]).double()
    values = torch.zeros(states.shape[2] + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([values], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        logits = (states[train] - mean) / spread @ values[:-1] + values[-1]
        loss = F.binary_cross_entropy_with_logits(logits, wanted[train])
        loss = loss + 1e-3 * values.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    says = torch.sigmoid((states[test] - mean) / spread @ values[:-1] + values[-1]) > 0.5
    accuracy = (says == wanted[test].bool()).float().mean()
    weight = values.detach()[:-1] / (spread if scaled_back else 1)
    return weight, values[-1:] - (mean @ weight if scaled_back else 0), accuracy


@wrong("train_classifier", "your weights are those of scaled states")
def not_scaled_back(*given):
    return classify(*given, scaled_back=False)


@right("choose_threshold")
def choose(choosing, measuring, signal, within, otherwise=max):
    best = None
    for threshold in choosing.thresholds(signal):
        point = choosing.at(signal, threshold)
        enough = point.score.accuracy + within >= choosing.best_fixed().score.accuracy
        if enough and (best is None or point.score.thoughts < best.score.thoughts):
            best = point
    if best is None:
        best = otherwise(choosing.curve(signal), key=lambda point: point.score.accuracy)
    return best.threshold, measuring.at(signal, best.threshold)


@wrong("choose_threshold", "you have no answer where every threshold loses more")
def without_its_fallback(*given):
    return choose(*given, otherwise=lambda points, key: min([], key=key))


# --------------------------------------------------------------------------------------------------


@SOLUTIONS.each
def test_a_solution_is_judged_rightly(name, function, says) -> None:
    judge(name, function, says)


@torch.no_grad()
@pytest.mark.parametrize("count", [0, 1, 3])
def test_what_is_right_for_a_padded_batch_is_right_for_each_row_alone(count: int) -> None:
    ids, mask, positions = padded_batch(count).values()
    for model in random_models():
        inputs = with_thoughts(model, ids, mask, positions)
        for row in range(len(ids)):
            real = mask[row].bool()
            _, thoughts = loop_over_whole_rows(model, ids[row][real][None], THOUGHT)
            places = (ids[row] == THOUGHT).nonzero().flatten().tolist()
            assert len(places) == len(thoughts) == count
            for place, thought in zip(places, thoughts, strict=True):
                assert torch.allclose(inputs[row, place], thought[0], atol=1e-5)


@torch.no_grad()
def test_what_is_written_is_what_single_rows_write_without_a_cache() -> None:
    for model, *given in batches_after_eot():
        _, _, mask, _, count = given
        batch = next(b for b in map(padded_batch, (0, 2)) if b["attention_mask"].equal(mask))
        _, logits = checks.write_on.right(model, *given)
        for row, ids in enumerate(batch["input_ids"]):
            inputs = model.get_input_embeddings()(ids[mask[row].bool()])[None]
            for column in (ids[mask[row].bool()] == THOUGHT).nonzero().flatten().tolist():
                inputs[:, column] = step(model, inputs[:, :column])
            for place in range(count):
                here = model(inputs_embeds=inputs).logits[0, -1]
                assert torch.allclose(here, logits[row, place], atol=1e-4)
                token = model.get_input_embeddings()(here.argmax())
                inputs = torch.cat([inputs, token[None, None]], dim=1)

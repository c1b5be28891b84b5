"""Solutions of exercises in 02 and 05 that were written independently of the checks.

A right one passes, however it is written; of a wrong one, the mistake is named. And what is
right by the checks is compared with single rows, without padding, positions or a cache.
"""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from judging import Solutions, judge
from transformers import DynamicCache

from coconut_lab import checks, collate
from coconut_lab.checks.models import EOS, THOUGHT, padded_batch, random_models
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


@right("feed_back")
def feed_back_with_a_cache(language_model, input_ids):
    first = language_model.base_model(input_ids=input_ids, use_cache=True)
    thought = first.last_hidden_state[:, -1]
    return thought, step(language_model, thought[:, None], cache=first.past_key_values)


@wrong("feed_back", "it replaces <bot>")
def fed_in_place(language_model, input_ids):
    inputs = language_model.get_input_embeddings()(input_ids).clone()
    thought = step(language_model, inputs)
    inputs[:, -1] = thought
    return thought, step(language_model, inputs)


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


@right("think_with_cache")
def by_the_models_own_cache(model, ids, mask, positions, thought_id, kept=True):
    stops = [*(c for c in range(ids.shape[1]) if ids[0, c] == thought_id), ids.shape[1]]
    output = model.base_model(
        input_ids=ids[:, : stops[0]], attention_mask=mask[:, : stops[0]],
        position_ids=positions[:, : stops[0]], use_cache=True,
    )  # fmt: skip
    hidden, thoughts = [output.last_hidden_state], []
    for start, stop in pairwise(stops):
        thoughts.append(hidden[-1][:, -1])
        rest = model.get_input_embeddings()(ids[:, start + 1 : stop])
        output = model.base_model(
            inputs_embeds=torch.cat([thoughts[-1].unsqueeze(1), rest], dim=1),
            attention_mask=mask[:, :stop].bool(), position_ids=positions[:, start:stop],
            past_key_values=output.past_key_values if kept else None, use_cache=True,
        )  # fmt: skip
        hidden.append(output.last_hidden_state)
    return torch.cat(hidden, dim=1), thoughts


@wrong("think_with_cache", "A new cache in every pass is an empty one")
def cache_is_not_kept(*given):
    return by_the_models_own_cache(*given, kept=False)


@wrong("think_with_cache", "columns went through the model")
def cached_in_name_only(model, ids, mask, positions, thought_id):
    hidden, thoughts = by_the_models_own_cache(model, ids, mask, positions, thought_id)
    by_the_models_own_cache(model, ids, mask, positions, thought_id)
    return hidden, thoughts


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


@right("thought_gradients")
def gradients_by_backward(language_model, input_ids, labels, thought_id):
    hidden, thoughts = loop_over_whole_rows(language_model, input_ids, thought_id)
    for thought in thoughts:
        thought.retain_grad()
    F.cross_entropy(language_model.lm_head(hidden)[0, :-1], labels[0, 1:]).backward()
    return tuple(thought.grad for thought in thoughts)


@wrong("thought_gradients", "autograd finds no path from the loss to your thoughts")
def thoughts_of_another_run(language_model, input_ids, labels, thought_id):
    _, thoughts = loop_over_whole_rows(language_model, input_ids, thought_id)
    hidden, _ = loop_over_whole_rows(language_model, input_ids, thought_id)
    loss = F.cross_entropy(language_model.lm_head(hidden)[0, :-1], labels[0, 1:])
    return list(torch.autograd.grad(loss, thoughts))


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
        hidden, thoughts = checks.think_with_cache.right(model, ids, mask, positions, THOUGHT)
        for row in range(len(ids)):
            real = mask[row].bool()
            alone, its_thoughts = loop_over_whole_rows(model, ids[row][real][None], THOUGHT)
            assert torch.allclose(hidden[row][real], alone[0], atol=1e-5)
            assert len(its_thoughts) == len(thoughts) == count
            for one, other in zip(thoughts, its_thoughts, strict=True):
                assert torch.allclose(one[row], other[0], atol=1e-5)


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

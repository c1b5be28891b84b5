"""The checks of notebook 05 pass right solutions however they are written."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import DynamicCache

from coconut_lab import checks
from coconut_lab.checks.models import EOT
from coconut_lab.inference.halting_tradeoff import HaltPoint


def think_with_explicit_positions(language_model, input_ids, count, eot_id):
    cache, embed = DynamicCache(config=language_model.config), language_model.get_input_embeddings()
    columns = embed(torch.cat([input_ids, torch.full((1, count), 0), torch.tensor([[eot_id]])], 1))
    edges = [0, *range(input_ids.shape[1], input_ids.shape[1] + count), columns.shape[1]]
    hidden = None
    for start, stop in pairwise(edges):
        part = columns[:, start:stop].clone()
        if hidden is not None:
            part[:, 0] = hidden
        hidden = language_model.base_model(
            inputs_embeds=part, position_ids=torch.arange(start, stop)[None],
            attention_mask=torch.ones(1, stop), past_key_values=cache, use_cache=True,
        ).last_hidden_state[:, -1]  # fmt: skip
    return hidden, cache


def write_by_ids(language_model, cache, hidden, attention_mask, position_ids, count):
    """With ids and the whole language model; positions from the mask."""
    tokens, logits = [], []
    scores = language_model.lm_head(hidden)
    for _ in range(count - 1):
        logits.append(scores)
        tokens.append(scores.argmax(-1))
        attention_mask = F.pad(attention_mask, (0, 1), value=1)
        scores = language_model(
            input_ids=tokens[-1][:, None], attention_mask=attention_mask,
            position_ids=attention_mask.cumsum(1)[:, -1:] - 1, past_key_values=cache,
        ).logits[:, -1]  # fmt: skip
    logits.append(scores)
    tokens.append(scores.argmax(-1))
    return torch.stack(tokens, 1), torch.stack(logits, 1)


def rows_leave(language_model, input_ids, attention_mask, position_ids, stop, most):
    """Rows that have stopped leave the batch and its cache."""
    cache = DynamicCache(config=language_model.config)
    inputs = language_model.get_input_embeddings()(input_ids)
    rows, found = torch.arange(len(input_ids)), {}
    for k in range(most + 1):
        hidden = language_model.base_model(
            inputs_embeds=inputs, attention_mask=attention_mask, position_ids=position_ids,
            past_key_values=cache, use_cache=True,
        ).last_hidden_state[:, -1]  # fmt: skip
        stops = torch.ones(len(rows), dtype=torch.bool) if k == most else stop(k, hidden)
        found |= {
            int(row): (k, state)
            for row, state in zip(rows[stops], hidden[stops], strict=True)
        }  # fmt: skip
        keep = (~stops).nonzero().flatten()
        if not len(keep):
            break
        cache.batch_select_indices(keep)
        rows, inputs = rows[keep], hidden[keep][:, None]
        attention_mask = F.pad(attention_mask[keep], (0, 1), value=1)
        position_ids = position_ids[keep][:, -1:] + 1
    order = sorted(found)
    return torch.tensor([found[r][0] for r in order]), torch.stack([found[r][1] for r in order])


def classify_scaled(states, steps, train, test):
    """Scaled by the training problems, fitted by L-BFGS with a penalty, under no_grad around."""
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
    weight = values.detach()[:-1] / spread
    bias = values.detach()[-1] - mean @ weight
    says = torch.sigmoid(states[test] @ weight + bias) > 0.5
    return weight, bias, (says == wanted[test].bool()).float().mean()


def choose_by_a_loop(choosing, measuring, signal, within):
    best: HaltPoint | None = None
    for threshold in choosing.thresholds(signal):
        point = choosing.at(signal, threshold)
        enough = point.score.accuracy + within >= choosing.best_fixed().score.accuracy
        if enough and (best is None or point.score.thoughts < best.score.thoughts):
            best = point
    if best is None:
        best = max(choosing.curve(signal), key=lambda point: point.score.accuracy)
    return best.threshold, measuring.at(signal, best.threshold)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("think_fixed", think_with_explicit_positions),
        ("write_on", write_by_ids),
        ("halt_by_row", rows_leave),
        ("train_classifier", classify_scaled),
        ("choose_threshold", choose_by_a_loop),
    ],
)
def test_other_right_ways_pass(name: str, function: Callable[..., Any]) -> None:
    getattr(checks, name)(function)


@pytest.mark.parametrize(
    ("name", "result", "says"),
    [
        ("think_fixed", (torch.zeros(16), None), "it should be (1, 16) = (1, d)"),
        ("write_on", (torch.zeros(3, 4), torch.zeros(3, 30)), "(B, count, V)"),
        (
            "halt_by_row",
            (torch.zeros(3, 1), torch.zeros(3, 16)),
            "entry 0 of counts should be a whole number",
        ),
        ("halt_by_row", (torch.tensor([1, 2, 0]), torch.zeros(16)), "(3, 16) = (B, d)"),
        ("halt_by_row", (torch.tensor([1, 2, 0]), torch.zeros(3, 16)), "is off by up to"),
        ("train_classifier", (torch.zeros(3), 0, 0), "weight has 3 entries, it should have 6"),
        ("train_classifier", (torch.zeros(6), "b", 0), "bias should be one number, not str"),
        ("train_classifier", (torch.zeros(6), 1.0, 0), "k − steps where your classifier stops is"),
        ("choose_threshold", (0.123, None), "should return a number and a HaltPoint"),
    ],
)
def test_wrong_results_are_reported(name: str, result: Any, says: str) -> None:
    with pytest.raises(checks.CheckFailed) as caught:
        getattr(checks, name)(lambda *arguments: result)
    assert says in str(caught.value)


def test_eot_is_read_after_the_thoughts() -> None:
    """A function that never looks at <eot> is told so, whatever id it has."""
    assert EOT not in (0, 1)
    with pytest.raises(checks.CheckFailed, match="<eot> is forgotten"):
        checks.think_fixed(lambda m, ids, n, eot: _without_eot(m, ids, n))


def _without_eot(model, ids, count):
    cache, inputs = DynamicCache(config=model.config), model.get_input_embeddings()(ids)
    for _ in range(count + 1):
        hidden = model.base_model(
            inputs_embeds=inputs, past_key_values=cache, use_cache=True
        ).last_hidden_state[:, -1]
        inputs = hidden[:, None]
    return hidden, cache

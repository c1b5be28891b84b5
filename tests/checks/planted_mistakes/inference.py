"""Typical mistakes in 05."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from transformers import DynamicCache

from planted_mistakes.models import embed, word_of
from planted_mistakes.table import planted

# --- exercise 1: think_fixed ----------------------------------------------------------------------


def thinking(model, ids, count, ends=(), alone=True, words=False, cached=True):
    """Think, then read the ends; `alone` in a pass of their own."""
    cache = DynamicCache(config=model.config) if cached else None
    inputs = kept = embed(model, ids)
    behind = embed(model, torch.tensor([ends])) if ends else None
    for left in range(count, -1, -1):
        if left == 0 and behind is not None and not alone:
            inputs = torch.cat([inputs, behind], dim=1)
        given = inputs if cached else kept
        hidden = model.base_model(
            inputs_embeds=given, past_key_values=cache, use_cache=cached
        ).last_hidden_state[:, -1]
        inputs = (word_of(model, hidden) if words else hidden)[:, None]
        kept = torch.cat([kept, inputs], dim=1)
    if behind is not None and alone:
        hidden = model.base_model(
            inputs_embeds=behind, past_key_values=cache, use_cache=True
        ).last_hidden_state[:, -1]
    return hidden, cache


@planted("think_fixed", "<eot> is forgotten")
def eot_forgotten(model, ids, count, eot):
    return thinking(model, ids, count)


@planted("think_fixed", "one thought is missing")
def one_thought_missing(model, ids, count, eot):
    return thinking(model, ids, max(count - 1, 0), [eot], alone=False)


@planted("think_fixed", "one thought too many")
def one_thought_too_many(model, ids, count, eot):
    return thinking(model, ids, count + 1, [eot])


@planted("think_fixed", "before the thoughts")
def eot_before_the_thoughts(model, ids, count, eot):
    return thinking(model, torch.cat([ids, torch.tensor([[eot]])], dim=1), count)


@planted("think_fixed", "your thoughts are words")
def thoughts_are_words(model, ids, count, eot):
    return thinking(model, ids, count, [eot], words=True)


@planted("think_fixed", "<eot> goes in twice")
def eot_twice(model, ids, count, eot):
    return thinking(model, ids, count, [eot, eot])


@planted("think_fixed", "cache has the wrong length")
def cache_from_before_eot(model, ids, count, eot):
    hidden, cache = thinking(model, ids, count, [eot], alone=False)
    cache = copy.deepcopy(cache)
    cache.crop(-1)
    return hidden, cache


@planted("think_fixed", "thoughts took 5 passes")
def eot_in_a_pass_of_its_own(model, ids, count, eot):
    return thinking(model, ids, count, [eot])


@planted("think_fixed", "columns went through the model")
def nothing_is_spared(model, ids, count, eot):
    """Finds the right state without a cache, then fills a cache for show."""
    inputs = embed(model, ids)
    for _ in range(count):
        hidden = model.base_model(inputs_embeds=inputs).last_hidden_state[:, -1]
        inputs = torch.cat([inputs, hidden[:, None]], dim=1)
    inputs = torch.cat([inputs, embed(model, torch.tensor([[eot]]))], dim=1)
    cache = DynamicCache(config=model.config)
    output = model.base_model(inputs_embeds=inputs, past_key_values=cache, use_cache=True)
    return output.last_hidden_state[:, -1], cache


# --- exercise 2: write_on -------------------------------------------------------------------------


def written(model, cache, hidden, count, mask, positions, first=None, more=0):
    """Write with a mask and positions per pass, counted from 1."""
    logits, step, token = [], 0, first
    while True:
        if token is not None:
            step += 1
            hidden = model.base_model(
                inputs_embeds=embed(model, token)[:, None],
                attention_mask=mask(step),
                position_ids=positions(step),
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state[:, -1]
        logits.append(model.lm_head(hidden))
        token = logits[-1].argmax(-1)
        if len(logits) == count + more:
            break
    logits = torch.stack(logits, dim=1)
    return logits.argmax(-1), logits


def grown(mask):
    return lambda step: torch.cat([mask, mask.new_ones(len(mask), step)], dim=1)


def going_on(positions):
    return lambda step: positions[:, -1:] + step


@planted("write_on", "it starts empty")
def written_with_a_new_cache(model, cache, hidden, mask, positions, count):
    cache = DynamicCache(config=model.config)
    ones = torch.ones_like(mask)
    return written(model, cache, hidden, count, lambda step: ones[:, :step], going_on(positions))


@planted("write_on", "you send it a second time")
def eot_is_sent_again(model, cache, hidden, mask, positions, count):
    eot = torch.full((len(mask),), 28)
    return written(model, cache, hidden, count, grown(mask), going_on(positions), eot)


@planted("write_on", "start again at 0")
def written_positions_start_again(model, cache, hidden, mask, positions, count):
    def restart(step):
        return torch.full((len(mask), 1), step - 1)

    return written(model, cache, hidden, count, grown(mask), restart)


@planted("write_on", "start again at 1")
def written_positions_start_at_one(model, cache, hidden, mask, positions, count):
    def restart(step):
        return torch.full((len(mask), 1), step)

    return written(model, cache, hidden, count, grown(mask), restart)


@planted("write_on", "stand still")
def written_positions_stand_still(model, cache, hidden, mask, positions, count):
    return written(model, cache, hidden, count, grown(mask), lambda step: positions[:, -1:])


@planted("write_on", "one behind")
def written_positions_one_behind(model, cache, hidden, mask, positions, count):
    def behind(step):
        return positions[:, -1:] + step - 1

    return written(model, cache, hidden, count, grown(mask), behind)


@planted("write_on", "count columns, padding included")
def written_positions_left_out(model, cache, hidden, mask, positions, count):
    return written(model, cache, hidden, count, grown(mask), lambda step: None)


@planted("write_on", "not extended")
def written_with_the_old_mask(model, cache, hidden, mask, positions, count):
    return written(model, cache, hidden, count, lambda step: mask, going_on(positions))


@planted("write_on", "only the new columns")
def written_with_the_mask_of_new_columns(model, cache, hidden, mask, positions, count):
    ones = torch.ones_like(mask[:, :1])
    return written(model, cache, hidden, count, lambda step: ones, going_on(positions))


@planted("write_on", "padding is attended to")
def written_without_a_mask(model, cache, hidden, mask, positions, count):
    return written(model, cache, hidden, count, lambda step: None, going_on(positions))


@planted("write_on", "one pass too late")
def first_token_left_out(model, cache, hidden, mask, positions, count):
    tokens, logits = written(
        model, cache, hidden, count, grown(mask), going_on(positions), more=1
    )  # fmt: skip
    return tokens[:, 1:], logits[:, 1:]


@planted("write_on", "not their argmax")
def tokens_are_probabilities(model, cache, hidden, mask, positions, count):
    _, logits = written(model, cache, hidden, count, grown(mask), going_on(positions))
    return logits.softmax(-1).max(-1).values, logits


@planted("write_on", "once more after the last token")
def a_pass_for_nothing(model, cache, hidden, mask, positions, count):
    tokens, logits = written(
        model, cache, hidden, count, grown(mask), going_on(positions), more=1
    )  # fmt: skip
    return tokens[:, :-1], logits[:, :-1]


# --- exercise 3: halt_by_row ----------------------------------------------------------------------


def row_by_row(model, ids, mask, positions, stop, most, decide, grow=True, first=0):
    """Think; `decide(stopped, says)` gives who has stopped now, all (B,) bool."""
    cache = DynamicCache(config=model.config)
    inputs, kept = embed(model, ids), None
    counts, stopped = torch.full((len(ids),), most), torch.zeros(len(ids), dtype=torch.bool)
    for k in range(most + 1):
        hidden = model.base_model(
            inputs_embeds=inputs, attention_mask=mask, position_ids=positions,
            past_key_values=cache, use_cache=True,
        ).last_hidden_state[:, -1]  # fmt: skip
        kept = hidden if kept is None else torch.where(stopped[:, None], kept, hidden)
        says = stop(k, hidden) if k >= first else torch.zeros_like(stopped)
        now = decide(stopped, says)
        counts[now & ~stopped] = k
        stopped = now
        if k == most or stopped.all():
            return counts, kept, hidden
        inputs = hidden[:, None]
        if grow:
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        positions = positions[:, -1:] + 1
    raise AssertionError


def each(stopped, says):
    return stopped | says


@planted("halt_by_row", "halts at the first row")
def all_halt_at_the_first(model, *given):
    def decide(stopped, says):
        return (stopped | says).any().expand_as(says)

    return row_by_row(model, *given, decide)[:2]


@planted("halt_by_row", "until its last row stops")
def all_wait_for_the_last(model, *given):
    counts, _, hidden = row_by_row(model, *given, each)
    return counts.max().expand_as(counts), hidden


@planted("halt_by_row", "those of the last pass")
def states_of_the_last_pass(model, *given):
    counts, _, hidden = row_by_row(model, *given, each)
    return counts, hidden


@planted("halt_by_row", "one thought too many")
def counted_from_one(model, *given):
    counts, kept, _ = row_by_row(model, *given, each)
    return counts + 1, kept


@planted("halt_by_row", "goes on thinking")
def stops_are_forgotten(model, ids, mask, positions, stop, most):
    total = torch.zeros(len(ids), dtype=torch.long)

    def count(k, hidden):
        nonlocal total
        says = stop(k, hidden)
        total = total + (~says).long() * (k < most)
        return says

    _, kept, _ = row_by_row(model, ids, mask, positions, count, most, lambda stopped, says: says)
    return total, kept


@planted("halt_by_row", "not asked at k = 0")
def never_asked_before_the_first(model, *given):
    counts, kept, _ = row_by_row(model, *given, each, first=1)
    return counts, kept


@planted("halt_by_row", "Are mask and positions extended")
def halting_with_the_old_mask(model, *given):
    return row_by_row(model, *given, each, grow=False)[:2]


# --- exercise 4: train_classifier -----------------------------------------------------------------


def classifier(states, labels, train, test, shown=None, detach=True):
    """Fit on some problems, measure on others."""
    weight = torch.zeros(states.shape[2], dtype=states.dtype, requires_grad=True)
    bias = torch.zeros((), dtype=states.dtype, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=0.05)
    given = states.detach() if detach else states
    for _ in range(200):
        optimizer.zero_grad()
        logits = given[train] @ weight + bias
        F.binary_cross_entropy_with_logits(logits, labels[train]).backward(retain_graph=not detach)
        optimizer.step()
    says = states.detach()[test if shown is None else shown] @ weight + bias > 0
    wanted = labels[test if shown is None else shown].bool()
    return weight.detach(), bias.item(), (says == wanted).double().mean().item()


def labels_of(states, steps, shift=0):
    return (torch.arange(states.shape[1]) >= steps[:, None] + shift).double()


@planted("train_classifier", "stops one thought too late")
def labels_shifted_late(states, steps, train, test):
    return classifier(states, labels_of(states, steps, 1), train, test)


@planted("train_classifier", "stops one thought too early")
def labels_shifted_early(states, steps, train, test):
    return classifier(states, labels_of(states, steps, -1), train, test)


@planted("train_classifier", "upside down")
def stop_labels_upside_down(states, steps, train, test):
    return classifier(states, 1 - labels_of(states, steps), train, test)


@planted("train_classifier", "test problems leak")
def fitted_on_all_problems(states, steps, train, test):
    return classifier(states, labels_of(states, steps), torch.cat([train, test]), test)


@planted("train_classifier", "test problems leak")
def scaled_by_all_problems(states, steps, train, test):
    states = states.detach()
    mean, spread = states.mean((0, 1)), states.std((0, 1))
    weight, bias, accuracy = classifier(
        (states - mean) / spread, labels_of(states, steps), train, test
    )
    return weight / spread, bias - float(mean @ (weight / spread)), accuracy


@planted("train_classifier", "gradient goes into the model")
def graph_is_kept(states, steps, train, test):
    return classifier(states, labels_of(states, steps), train, test, detach=False)


@planted("train_classifier", "loss flows back through it")
def one_loss_of_the_whole_graph(states, steps, train, test):
    weight = torch.zeros(states.shape[2], dtype=states.dtype, requires_grad=True)
    for _ in range(2):  # fails the second time
        loss = F.binary_cross_entropy_with_logits(states @ weight, labels_of(states, steps))
        loss.backward()
    return weight.detach(), 0.0, 1.0


@planted("train_classifier", "that on the training problems")
def measured_on_the_training(states, steps, train, test):
    return classifier(states, labels_of(states, steps), train, test, shown=train)


@planted("train_classifier", "that on all problems")
def measured_on_everything(states, steps, train, test):
    everything = torch.arange(len(steps))
    return classifier(states, labels_of(states, steps), train, test, shown=everything)


# --- exercise 5: choose_threshold -----------------------------------------------------------------


def chosen(study, signal, within):
    goal = study.best_fixed().score.accuracy - within
    points = study.curve(signal)
    good = [point for point in points if point.score.accuracy >= goal]
    return min(good, key=lambda point: point.score.thoughts).threshold


@planted("choose_threshold", "chosen on the problems that it is measured on")
def chosen_on_the_test(choosing, measuring, signal, within):
    threshold = chosen(measuring, signal, within)
    return threshold, measuring.at(signal, threshold)


@planted("choose_threshold", "judged by the problems that it is measured on")
def judged_by_the_test(choosing, measuring, signal, within):
    goal = measuring.best_fixed().score.accuracy - within
    points = [measuring.at(signal, threshold) for threshold in choosing.thresholds(signal)]
    good = [point for point in points if point.score.accuracy >= goal]
    point = min(good, key=lambda point: point.score.thoughts)
    return point.threshold, point


@planted("choose_threshold", "highest accuracy, whatever it costs")
def the_most_accurate(choosing, measuring, signal, within):
    best = max(choosing.curve(signal), key=lambda point: point.score.accuracy)
    return best.threshold, measuring.at(signal, best.threshold)


@planted("choose_threshold", "the cheapest one, whatever it loses")
def the_cheapest(choosing, measuring, signal, within):
    best = min(choosing.curve(signal), key=lambda point: point.score.thoughts)
    return best.threshold, measuring.at(signal, best.threshold)


@planted("choose_threshold", "that of the problems that you chose on")
def flattered(choosing, measuring, signal, within):
    threshold = chosen(choosing, signal, within)
    return threshold, choosing.at(signal, threshold)

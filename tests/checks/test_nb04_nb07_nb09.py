"""Solutions of exercises in 04, 07, 09 that were written independently of the checks.

A right one passes, however it is written; of a wrong one, the mistake is named.
"""

from __future__ import annotations

import copy
import math
import re
from decimal import Decimal

import torch
from judging import Solutions, judge

from coconut_lab.inference.scoring import Score
from coconut_lab.training.recipe import Phase, Recipe
from coconut_lab.training.schedule import schedule

SOLUTIONS = Solutions()
right, wrong = SOLUTIONS.right, SOLUTIONS.wrong


@right("rate_at")
def rate_by_the_package(step, phases, peak, warmup):
    recipe = Recipe(
        name="any",
        phases=tuple(Phase(steps=n, stage=stage, final_rate=f) for stage, n, f in phases),
    )
    since = 0
    for moment in schedule(recipe, 1000):
        since = 1 if moment.reset else since + 1
        if moment.step == step:
            final = moment.phase.final_rate  # of the package's straight fall, how far it is
            done = (1 - moment.share) / (1 - final) if final < 1 else 0.0
            share = final + (1 - final) * math.sin(math.pi * (1 - done) / 2) ** 2
            return torch.tensor(peak * share * min(1.0, since / warmup))


def run(model, make_optimizer, batch_at, rate_at, steps, saved):
    """Returns optimizer and number of steps done; `saved` has state dicts and that number."""
    optimizer, first = make_optimizer(model), 0
    if saved is not None:
        model.load_state_dict(saved[0])
        optimizer.load_state_dict(saved[1])
        first = saved[2]
    for step in range(first, first + steps):
        optimizer.param_groups[0]["lr"] = rate_at(step)
        optimizer.zero_grad()
        model(batch_at(step)).backward()
        optimizer.step()
    return optimizer, first + steps


@wrong("train_part", "gives the live tensors, not copies")
def run_with_shallow_copies(model, *rest):
    optimizer, done = run(model, *rest)
    return model.state_dict().copy(), optimizer.state_dict().copy(), done


@wrong("train_part", "not bit for bit")
def run_with_half_of_the_digits(model, *rest):
    optimizer, done = run(model, *rest)
    weights = {name: value.float() for name, value in model.state_dict().items()}
    return weights, copy.deepcopy(optimizer.state_dict()), done


@right("train_part")
def run_by_tensors(model, make_optimizer, batch_at, rate_at, steps, saved):
    """Keeps tensors in a list, the optimizer's state too, and takes gradients by hand."""
    optimizer = make_optimizer(model)
    done, weights, states = saved or (0, [], [])
    parameters = list(model.parameters())
    for parameter, weight, state in zip(parameters, weights, states, strict=False):
        parameter.data.copy_(weight)
        optimizer.state[parameter] = state
    for step in range(done, done + steps):
        optimizer.param_groups[0]["lr"] = rate_at(step)
        gradients = torch.autograd.grad(model(batch_at(step)), parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
    return (
        done + steps,
        [parameter.detach().clone() for parameter in parameters],
        [{k: v.clone() for k, v in optimizer.state[p].items()} for p in parameters],
    )


def losses(model, batch, size):
    """Each part's loss and how many labelled tokens it has."""
    for rows in zip(*(value.split(size) for value in batch.values()), strict=True):
        part = dict(zip(batch, rows, strict=True))
        yield model(**part).loss, int((part["labels"][:, 1:] != -100).sum())


@wrong("accumulate", "before you call backward")
def accumulate_with_one_backward(model, batch, size):
    model.zero_grad()
    parts = list(losses(model, batch, size))
    loss = sum(loss * count for loss, count in parts) / sum(count for _, count in parts)
    loss.backward()
    return loss


@right("accumulate")
def accumulate_token_by_token(model, batch, size):
    """One row at a time, as sums over tokens; the division comes at the end."""
    model.zero_grad()
    total, tokens = 0.0, 0
    for loss, count in losses(model, batch, 1):
        (loss * count).backward()
        total, tokens = total + loss.detach() * count, tokens + count
    for parameter in model.parameters():
        parameter.grad /= tokens
    return total / tokens


@right("accumulate")
def accumulate_with_a_look_before(model, batch, size):
    """A first sweep for the loss alone: its memory is free again before the next part."""
    model.zero_grad()
    tokens = sum(count for _, count in losses(model, batch, size))
    for loss, count in losses(model, batch, size):
        (loss * count / tokens).backward()
    return sum(loss.item() * count for loss, count in losses(model, batch, size)) / tokens


@right("loss_share")
def share_by_sums(mean, labelled_here, labelled, processes):
    return processes * (mean * labelled_here) / labelled


@right("wilson")
def interval_by_the_package(right, total):
    return Score(right, total).interval


def width(accuracy, total):
    """The root of Wilson's quadratic equation, from its coefficients."""
    a, b, c = 1 + 1.96**2 / total, -(2 * accuracy + 1.96**2 / total), accuracy**2
    return math.sqrt(b * b - 4 * a * c) / a


@right("problems_needed")
def problems_by_halving(accuracy, width_wanted):
    low, high = 0, 1 << 20
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if width(accuracy, middle) <= width_wanted else (middle, high)
    return high


@wrong("problems_needed", "You took half of it")
def problems_by_half_the_width(accuracy, half):
    return problems_by_halving(accuracy, 2 * half)


def coins(first, second):
    """How many problems only the first, and only the second, got right."""
    right = [(a == "1", b == "1") for a, b in zip(first, second, strict=True)]
    return right.count((True, False)), right.count((False, True))


@right("mcnemar")
def p_value_by_tossing_every_coin(first, second):
    b, c = coins(first, second)
    ways = {0: 1}
    for _ in range(b + c):
        leads = {lead + step for lead in ways for step in (-1, 1)}
        ways = {lead: ways.get(lead - 1, 0) + ways.get(lead + 1, 0) for lead in leads}
    return sum(n for lead, n in ways.items() if abs(lead) >= abs(b - c)) / 2 ** (b + c)


@wrong("mcnemar", "this is one-sided")
def p_value_of_one_side(first, second):
    return (p_value_by_tossing_every_coin(first, second)) / 2


def verdict_by(clear, better=lambda first, second: first.count("1") > second.count("1")):
    """A verdict where `clear(p, comparisons, problems)`."""

    def verdict(first, second, comparisons):
        if not clear(p_value_by_tossing_every_coin(first, second), comparisons, len(first)):
            return "undecided"
        return "first" if better(first, second) else "second"

    return verdict


right("verdict")(verdict_by(lambda p, m, n: p * m < 0.05))
for expected, limit in {
    "this is Šidák's": lambda m, n: 1 - 0.95 ** (1 / m),
    "comparisons - 1": lambda m, n: 0.05 / (m - 1 or 1),
    "the number of problems": lambda m, n: 0.05 / n,
}.items():
    wrong("verdict", expected)(verdict_by(lambda p, m, n, limit=limit: p < limit(m, n)))
by_texts = verdict_by(lambda p, m, n: p < 0.05 / m, better=lambda first, second: first > second)
wrong("verdict", "you compare the texts")(by_texts)


def longest_way(columns, layers, layer):
    """Follow what each hidden state is computed from, column by column and layer by layer."""
    ways = [[*range(layers + 1)]]  # per column: the longest way to each layer's output
    for column in f"{columns}p":  # the answer's column is the same for every question, too
        way = [{"t": ways[-1][layer], "w": ways[-1][-1], "p": 0}[column]]
        for below in range(layers):
            way.append(1 + max([way[-1], *(other[below] for other in ways)]))
        ways.append(way)
    return ways[-1][-1]


right("longest_chain")(longest_way)


@wrong("longest_chain", "a pause token is the same vector")
def chain_through_all_columns(columns, layers, layer):
    return longest_way(columns, layers, layer) + layers * columns.count("p")


@wrong("longest_chain", "has it been through, not all")
def chain_of_coconut(columns, layers, layer):
    return longest_way(columns, layers, layers)


@right("new_tokens")
def tokens_by_the_data_of_the_weights(model, tokenizer, tokens, known):
    tokenizer.add_special_tokens({"additional_special_tokens": tokens})
    model.resize_token_embeddings(len(tokenizer))
    known_id = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(known)[0])
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        layer.weight.data[-len(tokens) :] = layer.weight.data[known_id]
    return torch.tensor([tokenizer.convert_tokens_to_ids(token) for token in tokens])


@wrong("new_tokens", "you forgot the head")
def tokens_with_means_in_the_head(model, tokenizer, tokens, known):
    source = tokenizer.encode(known, add_special_tokens=False)[0]
    ids = list(range(len(tokenizer), len(tokenizer) + tokenizer.add_tokens(tokens)))
    model.resize_token_embeddings(len(tokenizer))
    weight = model.get_input_embeddings().weight.data
    weight[ids] = weight[source].clone()
    return ids


@wrong("new_tokens", "rows of the head, but the tokenizer has")
def tokens_in_a_new_embedding(model, tokenizer, tokens, known):
    tokenizer.add_tokens(tokens)
    model.set_input_embeddings(torch.nn.Embedding(len(tokenizer), 8))
    return tokenizer.convert_tokens_to_ids(tokens)


@right("same_number")
def number_by_decimals(written, answer):
    got = re.match(r"[^\d-]*(-?[\d,.]*\d)", written.split("###")[-1])
    return got is not None and Decimal(got[1].replace(",", "")) == Decimal(answer.replace(",", ""))


@right("count_work")
def work_step_by_step(problems, phases, batch, micro, processes, c, last):
    steps = passes = 0
    for stage, epochs in phases:
        for _ in range(epochs * (problems // batch)):
            steps += 1
            passes += len(range(0, batch // processes, micro)) * (1 + c * min(stage, last))
    return torch.tensor(steps), passes


@wrong("count_work", "What is left over at the end of an epoch")
def work_over_all_epochs(problems, phases, batch, micro, processes, c, last):
    steps = [(epochs * problems // batch, min(stage, last)) for stage, epochs in phases]
    parts = math.ceil(batch / processes / micro)
    return sum(n for n, _ in steps), sum(n * parts * (1 + c * stage) for n, stage in steps)


@SOLUTIONS.each
def test_a_solution_is_judged_rightly(name, function, says) -> None:
    judge(name, function, says)

"""Solutions of exercises in 01 and 03 that were written independently of the checks.

A right one passes, however it is written; of a wrong one, the mistake is named.
"""

from __future__ import annotations

import math
import operator
import re
from decimal import Decimal
from itertools import pairwise

import numpy as np
import torch
from judging import Solutions, judge

from coconut_lab.checks.nb03_curriculum import SUM, sum_tokenizer
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.tasks.arithmetic import read_equation

SOLUTIONS = Solutions()
right, wrong = SOLUTIONS.right, SOLUTIONS.wrong


@right("fed_from")
def fed_from_by_mode(tokens):
    sources, latent = [], False
    for at, token in enumerate(tokens):
        latent = latent and token != "<eot>"
        sources.append(np.int64(at - 1) if latent else None)
        latent = latent or token == "<bot>"
    return tuple(sources)


@wrong("fed_from", "<eot> does not get a hidden state")
def fed_until_eot_was_seen(tokens):
    sources, latent = [], False
    for at, token in enumerate(tokens):
        sources.append(at - 1 if latent else None)
        latent = token == "<bot>" or (latent and token != "<eot>")
    return sources


@right("chain_holds")
def chain_by_walking(facts, asked, answer, steps):
    for step in steps:
        if step not in {child for parent, child in facts if parent == asked}:
            return False
        asked = step
    return np.bool_(asked == answer)


@wrong("chain_holds", "the answer is looked for in a text")
def chain_with_the_answer_in_its_text(facts, asked, answer, steps):
    return all(edge in facts for edge in pairwise((asked, *steps))) and answer in str(steps)


@wrong("chain_holds", "for the chain Tom → lempus and the answer lempus: no fact says that Tom is")
def chain_that_states_what_it_needs(facts, asked, answer, steps):
    facts.append((asked, answer))
    return (asked, *steps)[-1] == answer and all(e in facts for e in pairwise((asked, *steps)))


@right("step_holds")
def step_by_the_package(step):
    equation = read_equation(step)
    return equation.holds and not equation.rounded


@wrong("step_holds", "Decimal rounds to 28 digits")
def step_in_decimals(step):
    def number(text):
        text = text.replace(",", "")
        return Decimal(text[:-1]) / 100 if text.endswith("%") else Decimal(text)

    left, right = step[2:-2].split("=")
    first, sign, second = re.fullmatch(r"(.+?)([-+*/])(.+)", left).groups()
    a, b = number(first), number(second)
    value = a + b if sign == "+" else a - b if sign == "-" else a * b if sign == "*" else a / b
    return value == number(right)


@right("add_node")
def node_with_shares_and_bits(labels, depths, count, r, sample, up_to=operator.le):
    barred = 2 if up_to(r, 0.35) else 1 if up_to(r, 0.7) else 4
    nodes = [node for node in reversed(range(len(labels))) if not labels[node] & barred]
    total = sum(depths[node] * 1.5 + 1 for node in nodes)
    weights = [(depths[node] * 1.5 + 1) / total for node in nodes]
    parents = sample(nodes, weights, min(count, len(nodes))) if count else []
    label = any(labels[p] & 1 for p in parents) + 2 * any(labels[p] & 2 for p in parents)
    return parents, label, min((depths[p] + 1 for p in parents), default=0)


@wrong("add_node", "compare with <=")
def node_with_open_ends(*given):
    return node_with_shares_and_bits(*given, up_to=operator.lt)


def hops_in(statement, starts):
    """Hops from the nearest start, by relaxing every fact as often as there are names."""
    hops = dict.fromkeys(starts, 0)
    for _ in range(len(statement.facts)):
        for a, b in statement.facts:
            if a in hops:
                hops[b] = min(hops.get(b, math.inf), hops[a] + 1)
    return hops


def farther(statement, starts):
    hops = hops_in(statement, starts)
    first, second = (hops.get(option, math.inf) for option in statement.options)
    return "tie" if first == second else statement.options[second > first]


@right("farther_option")
def option_by_relaxing(statement):
    return farther(statement, {a for a, _ in statement.facts} - {b for _, b in statement.facts})


@wrong("farther_option", "the option out of reach counts as farther")
def option_out_of_reach(statement):
    return farther(statement, [statement.asked])


@right("encode_stage")
def row_by_the_package(problem, tokenizer, stage, max_stage, c):
    return Curriculum("coconut", max_stage, c).encode(problem, tokenizer, stage).input_ids


@wrong("encode_stage", "it is 'b', it should be '<bot>' at stage 0 (max_stage=2, c=1) of a problem")
def row_with_thoughts_last(problem, tokenizer, stage, max_stage, c):
    right_row = row_by_the_package(problem, tokenizer, stage, max_stage, c)
    bot, eot = map(right_row.index, tokenizer.convert_tokens_to_ids(["<bot>", "<eot>"]))
    latent = right_row[bot : eot + 1]
    return [*right_row[:bot], *right_row[eot + 1 : -1], *latent, right_row[-1]]


def test_tokens_of_the_sum_reach_over_line_breaks() -> None:
    """Without that, tokenizing everything in one go could not be told from the right way."""
    tokenizer = sum_tokenizer()
    apart = [tokenizer(s + "\n", add_special_tokens=False).input_ids for s in SUM.steps]
    whole = tokenizer("\n".join(SUM.steps) + "\n", add_special_tokens=False).input_ids
    assert [token for step in apart for token in step] != whole
    assert tokenizer("a").input_ids[0] == tokenizer.bos_token_id


@right("make_labels")
def labels_by_rows(input_ids, attention_mask, eot_id):
    labels = []
    for ids, mask in zip(input_ids.tolist(), attention_mask.tolist(), strict=True):
        first = ids.index(eot_id) + 1
        labels.append([ids[c] if c >= first and mask[c] else -100 for c in range(len(ids))])
    return torch.tensor(labels, dtype=torch.int32)


@wrong("make_labels", "Work on a copy: input_ids.clone()")
def labels_in_place(input_ids, attention_mask, eot_id):
    labels = input_ids
    before = (input_ids == eot_id).cumsum(1) == 0
    labels[before | (input_ids == eot_id) | (attention_mask == 0)] = -100
    return labels


@right("count_thoughts")
def counts_by_the_package(steps, stage, max_stage, c, pad_to_max):
    curriculum = Curriculum("coconut", max_stage, c, pad_to_max)
    training = curriculum.thoughts_in_training(steps, stage)
    return [np.int64(training), torch.tensor(curriculum.thoughts_in_prompt(steps, stage))]


@wrong("count_thoughts", "Compare with <=, not with <")
def counts_with_a_stage_too_few(steps, stage, max_stage, c, pad_to_max):
    largest = max_stage if pad_to_max else min(steps, max_stage)
    return (stage if stage < max_stage else largest) * c, min(stage, largest) * c


@right("reach")
def reach_by_backward(model, ids, labels, thought_id, cut):
    lengths = []
    for column in [c for c in range(labels.shape[1]) if labels[0, c] != -100]:
        inputs, thoughts = model.get_input_embeddings()(ids), []
        for place in (ids[0] == thought_id).nonzero().flatten().tolist():
            hidden = model.base_model(inputs_embeds=inputs).last_hidden_state[:, place - 1]
            thoughts.append(hidden.detach().requires_grad_() if cut else hidden)
            thoughts[-1].retain_grad()
            inputs = inputs.clone()
            inputs[:, place] = thoughts[-1]
        scores = model(inputs_embeds=inputs).logits[0, column - 1].log_softmax(-1)
        (-scores[labels[0, column]]).backward()
        lengths.append([thought.grad.norm().item() for thought in thoughts])
    return torch.tensor(lengths).T


@wrong("reach", "rows and columns are swapped")
def reach_by_labels(*given):
    return reach_by_backward(*given).T


@right("plan")
def plan_backwards(phases, steps_per_epoch, reset):
    stages = [stage for stage, epochs in phases for _ in range(epochs * steps_per_epoch)]
    begins = set(range(0, len(stages), steps_per_epoch))
    if reset == "stage":
        begins = {step for step in begins if step == 0 or stages[step] != stages[step - 1]}
    return [[stage, int(step in begins)] for step, stage in enumerate(stages)]


@wrong("plan", "every step of a new stage resets")
def plan_that_remembers_too_late(phases, steps_per_epoch, reset):
    entries, previous = [], None
    for stage, epochs in phases:
        for _ in range(epochs):
            for step in range(steps_per_epoch):
                entries.append((stage, step == 0 if reset == "epoch" else stage != previous))
        previous = stage
    return entries


# --------------------------------------------------------------------------------------------------


@SOLUTIONS.each
def test_a_solution_is_judged_rightly(name, function, says) -> None:
    judge(name, function, says)

"""Solutions of exercises in 01 and 03 that were written independently of the checks.

A right one passes, however it is written; of a wrong one, the mistake is named.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from coconut_lab import checks
from coconut_lab.tasks.arithmetic import read_equation

Function = Callable[..., Any]
SOLUTIONS: list[tuple[str, Function, str]] = []  # exercise, solution, words of the message or ""


def wrong(name: str, says: str) -> Callable[[Function], Function]:
    return lambda function: SOLUTIONS.append((name, function, says)) or function


def right(name: str) -> Callable[[Function], Function]:
    return wrong(name, "")


# --- 01, exercise 1 -------------------------------------------------------------------------------


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


@wrong("fed_from", "it may end before <eot>")
def fed_between_the_markers(tokens):
    bot, eot = tokens.index("<bot>"), tokens.index("<eot>")
    return [at - 1 if bot < at < eot else None for at in range(len(tokens))]


@wrong("fed_from", "entry 12 of the list should be a whole number, not str (<bot>)")
def fed_from_words(tokens):
    return [tokens[at - 1] if token == "<thought>" else None for at, token in enumerate(tokens)]


# --- 01, exercise 2 -------------------------------------------------------------------------------


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


@wrong("chain_holds", "a step that no fact states is passed over")
def chain_that_stays_where_it_is(facts, asked, answer, steps):
    place = asked
    for step in steps:
        place = step if (place, step) in facts else place
    return place == answer


@wrong("chain_holds", "dict(facts) keeps one child")
def chain_by_a_dictionary(facts, asked, answer, steps):
    child = dict(facts)
    return (asked, *steps)[-1] == answer and all(child.get(a) == b for a, b in
                                                 pairwise((asked, *steps)))  # fmt: skip


@wrong("chain_holds", "for the chain Tom → lempus and the answer lempus: no fact says that Tom is")
def chain_that_states_what_it_needs(facts, asked, answer, steps):
    facts.append((asked, answer))
    return (asked, *steps)[-1] == answer and all(e in facts for e in pairwise((asked, *steps)))


@wrong("chain_holds", "True or False")
def chain_of_faults(facts, asked, answer, steps):
    return [edge for edge in pairwise((asked, *steps)) if edge not in facts]


# --- 01, exercise 3 -------------------------------------------------------------------------------


@right("step_holds")
def step_by_the_package(step):
    equation = read_equation(step)
    return equation.holds and not equation.rounded


def recomputed(step, number, equal=lambda a, b: a == b):
    left, right = step[2:-2].split("=")
    first, sign, second = re.fullmatch(r"(.+?)([-+*/])(.+)", left).groups()
    a, b = number(first), number(second)
    value = a + b if sign == "+" else a - b if sign == "-" else a * b if sign == "*" else a / b
    return equal(value, number(right))


def read(text, kind=Fraction):
    text = text.replace(",", "")
    return kind(text[:-1]) / 100 if text.endswith("%") else kind(text)


@wrong("step_holds", "floating point: 0.1 + 0.2")
def step_in_floats(step):
    return recomputed(step, lambda text: read(text, float))


@wrong("step_holds", "it compares with a tolerance. 10000000000 + 1")
def step_in_close_floats(step):
    return recomputed(step, lambda text: read(text, float), math.isclose)


@wrong("step_holds", "Decimal rounds to 28 digits")
def step_in_decimals(step):
    return recomputed(step, lambda text: read(text, Decimal))


@wrong("step_holds", "all four operations are computed")
def step_by_a_table_of_values(step):
    left, right = step[2:-2].split("=")
    first, sign, second = re.fullmatch(r"(.+?)([-+*/])(.+)", left).groups()
    a, b = read(first), read(second)
    return {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[sign] == read(right)


@wrong("step_holds", "a percentage belongs together")
def step_by_eval(step):
    def value(text):
        exact = re.sub(r"[\d.,]+", lambda match: f"Fraction('{match[0].replace(',', '')}')", text)
        return eval(exact.replace("%", "/100"))

    left, right = step[2:-2].split("=")
    return value(left) == value(right)


# --- 01, exercise 4 -------------------------------------------------------------------------------


@right("add_node")
def node_with_shares_and_bits(labels, depths, count, r, sample):
    barred = 2 if r <= 0.35 else 1 if r <= 0.7 else 4
    nodes = [node for node in reversed(range(len(labels))) if not labels[node] & barred]
    total = sum(depths[node] * 1.5 + 1 for node in nodes)
    weights = [(depths[node] * 1.5 + 1) / total for node in nodes]
    parents = sample(nodes, weights, min(count, len(nodes))) if count else []
    label = any(labels[p] & 1 for p in parents) + 2 * any(labels[p] & 2 for p in parents)
    return parents, label, min((depths[p] + 1 for p in parents), default=0)


@wrong("add_node", "compare with <=")
def node_with_open_ends(labels, depths, count, r, sample):
    labels_below = {0, 1} if r < 0.35 else {0, 2} if r < 0.7 else {0, 1, 2, 3}
    nodes = np.flatnonzero([label in labels_below for label in labels])
    weights = np.array(depths)[nodes] * 1.5 + 1
    parents = sample(nodes, weights, min(count, len(nodes)))
    label = 0
    for parent in parents:
        label |= labels[parent]
    return parents, label, min((depths[p] + 1 for p in parents), default=0)


@wrong("add_node", "it should be {0, 2, 3, 6, 7, 9, 11} with count=2, r=0.2")
def node_from_the_wrong_labels(labels, depths, count, r, sample):
    nodes = [node for node, label in enumerate(labels) if label in (0, 3)]
    return sample(nodes, [depths[n] * 1.5 + 1 for n in nodes], count), labels[0], depths[0] + 1


@wrong("add_node", "sample should be called once")
def node_with_parents_one_by_one(labels, depths, count, r, sample):
    nodes = list(range(len(labels)))
    return [sample(nodes, [1.0] * len(nodes), 1)[0] for _ in range(count)], 0, 0


# --- 01, exercise 5 -------------------------------------------------------------------------------


def hops_in(statement, starts):
    """Hops from the nearest start, by relaxing every fact as often as there are names."""
    hops = dict.fromkeys(starts, 0)
    for _ in range(len(statement.facts)):
        for a, b in statement.facts:
            if a in hops:
                hops[b] = min(hops.get(b, math.inf), hops[a] + 1)
    return hops


def farther(statement, starts, tie):
    hops = hops_in(statement, starts)
    first, second = (hops.get(option, math.inf) for option in statement.options)
    return tie if first == second else statement.options[second > first]


def parentless(statement):
    return {a for a, _ in statement.facts} - {b for _, b in statement.facts}


@right("farther_option")
def option_by_relaxing(statement):
    return farther(statement, parentless(statement), "tie")


@wrong("farther_option", "the option out of reach counts as farther")
def option_out_of_reach(statement):
    return farther(statement, [statement.asked], "tie")


@wrong("farther_option", "it should return 'tie', not None")
def option_none_on_a_tie(statement):
    return farther(statement, parentless(statement), None)


@wrong("farther_option", "who does not lead to both options")
def option_without_a_default(statement):
    hops = hops_in(statement, [statement.asked])
    return max(statement.options, key=lambda option: hops[option])


# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "function", "says"), SOLUTIONS, ids=[f"{n}-{f.__name__}" for n, f, _ in SOLUTIONS]
)
def test_a_solution_is_judged_rightly(name: str, function: Function, says: str) -> None:
    if not says:
        getattr(checks, name)(function)
        return
    with pytest.raises(checks.CheckFailed) as failure:
        getattr(checks, name)(function)
    assert str(failure.value).startswith(name) and says in str(failure.value)

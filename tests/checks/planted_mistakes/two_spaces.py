"""Typical mistakes in 01, exercises 1 to 3: reading texts."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

from planted_mistakes.table import planted

# --- exercise 1: fed_from -------------------------------------------------------------------------


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


# --- exercise 2: chain_holds ----------------------------------------------------------------------


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


# --- exercise 3: step_holds -----------------------------------------------------------------------


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

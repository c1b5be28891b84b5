"""A small arithmetic task in the format of GSM8K-Aug, small enough to train on CPU.

"Sam has 4 pens. Eva has 3 times as many pens as Sam. How many pens does Eva have?" Each problem
holds two chains of the same length, its sentences in random order, and a coin decides whose end is
asked for. No question holds its answer, and every step after the first uses the one before it.
With `one_chain` there is no second chain, and the sentences are in order: a smaller task.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from operator import add, floordiv, mul, sub
from random import Random
from typing import NamedTuple

from coconut_lab.errors import checks_kinds
from coconut_lab.tasks.arithmetic import numbers_in
from coconut_lab.tasks.problems import Problem, ProblemError
from coconut_lab.tasks.prosqa import ENTITIES
from coconut_lab.tasks.randomness import Quota, Uniform, check_natural, coin, evenly, pick, shuffled

THINGS = ("apples", "books", "coins", "marbles", "pens", "stamps")


class _Relation(NamedTuple):
    """How one person's number follows from another's."""

    words: str
    sign: str
    result: Callable[[int, int], int]
    amounts: Callable[[int, int], range]  # (number so far, largest allowed) → possible amounts


_RELATIONS = (
    _Relation("{n} more {things} than", "+", add, lambda x, top: range(1, top - x + 1)),
    _Relation("{n} fewer {things} than", "-", sub, lambda x, top: range(1, x)),
    _Relation("{n} times as many {things} as", "*", mul, lambda x, top: range(2, top // x + 1)),
    _Relation("half as many {things} as", "/", floordiv, lambda x, top: range(2, 3 - x % 2)),
)


@checks_kinds(ProblemError)
def generate_arithmetic(
    count: int,
    seed: int,
    *,
    steps: int | tuple[int, int] = (2, 3),
    largest: int = 99,
    one_chain: bool = False,
) -> list[Problem]:
    """Make arithmetic word problems in the format of GSM8K-Aug; each step uses the one before it.

    Args:
        count: number of problems; as for `generate_prosqa`, a longer list starts with the shorter.
        seed: a number from 0 on, which decides everything, on every machine.
        steps: how many: one number, or (lowest, highest), all equally often.
        largest: no number of a problem is above it.
        one_chain: leave out the second chain and the shuffling: each sentence speaks of the person
            of the one before it. Nothing has to be looked up, only computed, which a model from
            random weights learns much sooner.

    Returns:
        `count` problems; steps such as `<<4*3=12>>`, all whole numbers.

    Raises:
        ProblemError: an argument that cannot be; the message says which and what can.
    """
    check_natural(count=count, seed=seed, largest=largest)
    counts = evenly("steps", steps)
    longest = len(ENTITIES) // 2 - 1
    if max(counts) > longest:
        raise ProblemError(f"steps={steps!r}; there are names for at most {longest} steps")
    if largest < 20:
        raise ProblemError(f"largest={largest}; give at least 20, or few problems can be made")
    random, lengths = Random(seed).random, Quota(counts)
    return [_word_problem(random, lengths.draw(random()), largest, one_chain) for _ in range(count)]


def _word_problem(random: Uniform, steps: int, largest: int, one_chain: bool) -> Problem:
    while True:
        things = pick(random, THINGS)
        people = shuffled(random, ENTITIES, 2 * (steps + 1))
        # Both chains are made in the same way; only then a coin says which one is asked about.
        chains = [
            _chain(random, people[: steps + 1], things, largest),
            _chain(random, people[steps + 1 :], things, largest),
        ]
        asked = chains[coin(random)]
        sentences = shuffled(random, chains[0].sentences + chains[1].sentences)
        if one_chain:
            chains, sentences = [asked], asked.sentences
        question = f"{' '.join(sentences)} How many {things} does {asked.person} have?"
        found = numbers_in(question)
        results = {chain.result for chain in chains}
        if len(results) == len(chains) and not results & set(found):
            return Problem(question, tuple(asked.steps), str(asked.result))


class _Chain(NamedTuple):
    person: str
    result: int
    sentences: list[str]
    steps: list[str]


def _chain(random: Uniform, people: list[str], things: str, largest: int) -> _Chain:
    have = 2 + int(random() * (largest // 4))
    sentences, steps = [f"{people[0]} has {have} {things}."], []
    for before, person in pairwise(people):
        possible = [r for r in _RELATIONS if r.amounts(have, largest)]
        relation = pick(random, possible)
        amount = pick(random, relation.amounts(have, largest))
        result = relation.result(have, amount)
        words = relation.words.format(n=amount, things=things)
        sentences.append(f"{person} has {words} {before}.")
        steps.append(f"<<{have}{relation.sign}{amount}={result}>>")
        have = result
    return _Chain(people[-1], have, sentences, steps)

"""ProntoQA: reader of the published format, check of every proof, and a generator.

A problem states rules about invented concepts and asks whether a sentence about one individual is
true. Source: Saparov and He 2023 (arXiv:2210.01240); Coconut uses 5 hops (Hao et al. 2024).

In files of the published generator the property asked about is stated of two concepts, with and
without "not", but nothing leads to the wrong one: "believe the concept mentioned more often" is
right in all 200 problems of a sample with 5 hops. Here two individuals have chains of the same
shape that end in opposite literals, and a coin decides which of them is asked about. So a rule that
does not look at who is asked about is right exactly half of the time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, pairwise
from random import Random
from typing import Any

from pydantic import BaseModel

from coconut_lab.errors import checks_kinds
from coconut_lab.tasks.json_files import check_problem, checked, write_rows
from coconut_lab.tasks.notation import split_sentences
from coconut_lab.tasks.problems import Problem, ProblemError
from coconut_lab.tasks.prontoqa_logic import (
    ASK,
    STYLES,
    Literal,
    consequences,
    follows,
    parse_question,
    read_literal,
    write_literal,
)
from coconut_lab.tasks.prosqa import CONCEPTS, ENTITIES
from coconut_lab.tasks.randomness import Quota, Uniform, check_natural, coin, evenly, pick, shuffled

# The properties found in files of the published generator.
PROPERTIES: tuple[str, ...] = tuple(
    "aggressive amenable angry bitter blue bright brown cold discordant dull earthy fast feisty "
    "floral fruity happy hot kind large liquid loud luminous mean melodic metallic moderate "
    "muffled nervous opaque orange overcast rainy red shy slow small snowy sour spicy sunny sweet "
    "temperate transparent windy wooden".split()
)
ORDERINGS = ("random", "forward", "backward")
ANSWERS = ("True", "False")
NOWHERE = "is neither stated nor follows from the sentences before it"


# --- reading ---------------------------------------------------------------------------------


class _Proof(BaseModel, strict=True):
    question: str
    query: str
    chain_of_thought: list[str]
    answer: str


class _Example(BaseModel, strict=True):
    test_example: _Proof


def problem_of(example: Any) -> Problem:
    """Read one example of a file that the published generator wrote.

    Question, query and chain are joined as Coconut's preprocessing does: the question is
    `question + " " + query`, a step is two sentences of the chain, the last may be one. Whether
    the chain holds is another question: see `step_faults`.
    """
    proof = checked(_Example, example).test_example
    steps = _pair_up([sentence.strip() for sentence in proof.chain_of_thought])
    problem = Problem(f"{proof.question} {proof.query}", steps, proof.answer)
    check_problem(problem)
    if problem.answer not in ANSWERS:
        raise ProblemError(f"key 'answer' is {problem.answer!r}; it must be 'True' or 'False'")
    parse_question(problem.question)
    return problem


@checks_kinds(ProblemError)
def write_prontoqa(problems: Iterable[Problem], path: str | os.PathLike[str]) -> None:
    """Write problems as the published generator does; otherwise as `write_json`."""
    write_rows(problems, path, _example_of, _named, problem_of)


def _example_of(problem: Problem) -> dict[str, Any]:
    facts, ask, query = problem.question.partition(f" {ASK}")
    if not ask:
        raise ProblemError(f"does not ask {ASK!r}, so it is not of ProntoQA")
    return {
        "test_example": {
            "question": facts,
            "query": f"{ASK}{query}",
            "chain_of_thought": [s for step in problem.steps for s in split_sentences(step)],
            "answer": problem.answer,
        }
    }


def _named(examples: list[dict[str, Any]]) -> str:
    return json.dumps({f"example{n}": example for n, example in enumerate(examples, start=1)})


def _pair_up(sentences: list[str]) -> tuple[str, ...]:
    return tuple(" ".join(sentences[i : i + 2]) for i in range(0, len(sentences), 2))


# --- checking --------------------------------------------------------------------------------


def step_faults(problem: Problem) -> list[str | None]:
    """For each step why it does not hold, or None when it does.

    Every sentence of a step must be stated in the question, or follow by one rule from sentences
    before it. Each step is judged on what the steps before it say, be that right or wrong.
    """
    stated = frozenset(parse_question(problem.question).facts)
    said: set[Literal] = set()
    faults: list[str | None] = []
    for step in problem.steps:
        found = []
        for sentence in split_sentences(step):
            literal = read_literal(sentence)
            if literal is None:
                found.append(f"cannot read {sentence!r}")
                continue
            if literal not in stated and not follows(literal, said):
                against = literal.opposite in stated
                reason = "contradicts a stated fact" if against else NOWHERE
                found.append(f"{sentence!r} {reason}")
            said.add(literal)
        faults.append(found[0] if found else None)
    return faults


def answer_fault(problem: Problem) -> str | None:
    """Say why the answer is not what the stated facts give, or None when it is.

    The facts are followed from the individual asked about, without the steps; then the last
    sentence of the steps must decide the query too.
    """
    question = parse_question(problem.question)
    query = question.query
    known = consequences(question.facts, query.subject)
    yes, no = query in known, query.opposite in known
    if yes and no:
        return "the stated facts give both the query and its opposite"
    if not yes and not no:
        return "the stated facts decide neither the query nor its opposite"
    if problem.answer != str(yes):
        return f"the answer is {problem.answer}, but the stated facts make the query {yes}"
    sentences = [sentence for step in problem.steps for sentence in split_sentences(step)]
    if sentences and read_literal(sentences[-1]) != (query if yes else query.opposite):
        return f"the steps end with {sentences[-1]!r}, which does not decide the query"
    return None


# --- making ----------------------------------------------------------------------------------


@checks_kinds(ProblemError)
def generate_prontoqa(
    count: int,
    seed: int,
    *,
    hops: int | tuple[int, int] = 5,
    distractors: int = 6,
    ordering: str = "random",
) -> list[Problem]:
    """Make ProntoQA problems, in English, in the published style of sentences.

    Args:
        count: number of problems; as for `generate_prosqa`, a longer list starts with the shorter.
        seed: a number from 0 on, which decides everything, on every machine.
        hops: rules between the individual and the property: one number, or (lowest, highest), all
            equally often. A proof of n hops has 2n + 1 sentences, so n + 1 steps.
        distractors: how many facts that lead nowhere each of the two chains gets. With the
            default a question states 24 facts; the published files have 25.
        ordering: of the rules: "random" (as in the published files), "forward" (along the chains)
            or "backward". Facts about individuals come last, as published.

    Returns:
        `count` problems, without a graph.

    Raises:
        ProblemError: an argument that cannot be; the message says which and what can.
    """
    check_natural(count=count, seed=seed, distractors=distractors)
    if ordering not in ORDERINGS:
        raise ProblemError(f"ordering={ordering!r}; there are {', '.join(ORDERINGS)}")
    counts = evenly("hops", hops)
    if max(counts) + distractors > len(CONCEPTS) // 2:
        raise ProblemError(
            f"{max(counts)} hops and {distractors} distractors may need "
            f"{2 * (max(counts) + distractors)} concepts, but there are {len(CONCEPTS)} names; "
            "give fewer hops or distractors"
        )
    random, lengths = Random(seed).random, Quota(counts)
    return [_problem(random, lengths.draw(random()), distractors, ordering) for _ in range(count)]


def _problem(random: Uniform, hops: int, distractors: int, ordering: str) -> Problem:
    concepts = iter(shuffled(random, CONCEPTS, 2 * (hops + distractors)))
    properties = iter(shuffled(random, PROPERTIES))
    individuals = shuffled(random, ENTITIES, 2)
    # Both chains are made in the same way; only then a coin says which one is asked about.
    asked, negated, shared = int(random() * 2), coin(random), next(properties)
    chains, facts = [], []
    for place, individual in enumerate(individuals):
        path = [individual, *islice(concepts, hops)]
        chain = [
            Literal(a, b, general=i > 0, concept=True) for i, (a, b) in enumerate(pairwise(path))
        ]
        chain.append(Literal(path[-1], shared, True, False, negated ^ bool(place)))
        chains.append(chain)
        facts += list(enumerate(chain))
        facts += _distract(random, path, distractors, concepts, properties)
    facts = shuffled(random, facts)
    if ordering != "random":
        facts.sort(key=lambda item: item[0], reverse=ordering == "backward")
    facts.sort(key=lambda item: not item[1].general)  # stable: individuals come last
    words = {fact: write_literal(fact, pick(random, STYLES)) for _, fact in facts}
    query = Literal(individuals[asked], shared, False, False, negated=coin(random))
    proof = list(_proof(chains[asked], words))
    ending = chains[asked][-1]
    return Problem(
        question=" ".join([*words.values(), ASK, write_literal(query)]),
        steps=_pair_up(proof),
        answer=str(ending.negated == query.negated),
    )


def _distract(
    random: Uniform,
    path: list[str],
    count: int,
    concepts: Iterator[str],
    properties: Iterator[str],
) -> list[tuple[int, Literal]]:
    """Facts that hang on a chain and lead nowhere, each with its distance from the individual."""
    nodes = list(enumerate(path))
    described = {path[-1]}  # a concept has one property at most, as published
    found = []
    for _ in range(count):
        depth, node = pick(random, nodes)
        property_next = coin(random) and depth > 0 and node not in described
        if property_next:
            described.add(node)
            fact = Literal(node, next(properties), True, False, negated=coin(random))
        else:
            fact = Literal(node, next(concepts), depth > 0, True)
            nodes.append((depth + 1, fact.predicate))
        found.append((depth, fact))
    return found


def _proof(chain: list[Literal], words: Mapping[Literal, str]) -> Iterator[str]:
    yield words[chain[0]]
    for rule in chain[1:]:
        yield words[rule]
        yield write_literal(
            Literal(chain[0].subject, rule.predicate, False, rule.concept, rule.negated)
        )

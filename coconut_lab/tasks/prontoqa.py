"""ProntoQA: reader of the published format, generator, check of every proof, and shortcuts.

A problem states rules about invented concepts and asks whether a claim about one individual is
true. Source: Saparov and He 2023 (arXiv:2210.01240); Coconut uses 5 hops (Hao et al. 2024).

In files of the published generator the property asked about is stated of two concepts, with and
without "not", but nothing leads to the wrong one: "believe the concept mentioned more often" is
right in all 200 problems of a sample with 5 hops. Here two individuals have chains of the same
shape that end in opposite claims, and a coin decides which of them is asked about. So a rule that
does not look at who is asked is right exactly half of the time.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice, pairwise
from pathlib import Path
from random import Random
from typing import Any

from coconut_lab.files import write_text
from coconut_lab.tasks.json_files import parse_json, type_name, value_of, values_of
from coconut_lab.tasks.problems import Problem, ProblemError, check_texts
from coconut_lab.tasks.prontoqa_logic import (
    ASK,
    STYLES,
    Claim,
    Page,
    consequences,
    follows,
    read_claim,
    read_page,
    split_sentences,
    write_claim,
)
from coconut_lab.tasks.prosqa import CONCEPTS, ENTITIES
from coconut_lab.tasks.prosqa_graphs import Deck
from coconut_lab.tasks.randomness import Stream, check_whole, coin, evenly, pick, shuffled
from coconut_lab.tasks.shortcuts import ranked

# The properties found in files of the published generator.
PROPERTIES: tuple[str, ...] = tuple(
    "aggressive amenable angry bitter blue bright brown cold discordant dull earthy fast feisty "
    "floral fruity happy hot kind large liquid loud luminous mean melodic metallic moderate "
    "muffled nervous opaque orange overcast rainy red shy slow small snowy sour spicy sunny sweet "
    "temperate transparent windy wooden".split()
)
ORDERINGS = ("random", "forward", "backward")
ANSWERS = ("True", "False")


def is_prontoqa(problem: Problem) -> bool:
    """Tell a ProntoQA problem by its question."""
    return problem.graph is None and ASK in problem.question


# --- reading ---------------------------------------------------------------------------------


def read_prontoqa(path: str | os.PathLike[str]) -> list[Problem]:
    """Read a file that the published generator wrote.

    Question, query and chain are joined as Coconut's preprocessing does: the question is
    `question + " " + query`, a step is two sentences of the chain, the last may be one.

    Args:
        path: a JSON dict: `exampleN` → `test_example` → `question`, `query`, `chain_of_thought`
            (list of sentences), `answer`.

    Returns:
        One problem per example, in the order of the file. All or none. Whether the chains hold is
        another question: see `step_faults`.

    Raises:
        ProblemError: the file cannot be read or is malformed, or an example lacks a key, has a
            value of the wrong type, an unreadable question, or another answer than True or False
            (with its name).
    """
    examples = parse_json(Path(path))
    if not isinstance(examples, dict):
        raise ProblemError(f"{path}: expected a dict of examples, found {type_name(examples)}")
    problems = []
    for row, (name, example) in enumerate(examples.items()):
        try:
            problems.append(_from_example(example))
        except ProblemError as error:
            raise ProblemError(f"{path}: row {row} ({name}): {error}") from None
    return problems


def _from_example(example: Any) -> Problem:
    if not isinstance(example, dict):
        raise ProblemError(f"expected keys and values, found {type_name(example)}")
    test = value_of(example, "test_example", dict)
    chain = [sentence.strip() for sentence in values_of(test, "chain_of_thought", str)]
    problem = Problem(
        question=f"{value_of(test, 'question', str)} {value_of(test, 'query', str)}",
        steps=pair_up(chain),
        answer=value_of(test, "answer", str),
    )
    check_texts(problem)
    if problem.answer not in ANSWERS:
        raise ProblemError(f"key 'answer' is {problem.answer!r}; it must be 'True' or 'False'")
    read_page(problem.question)
    return problem


def write_prontoqa(problems: Iterable[Problem], path: str | os.PathLike[str]) -> None:
    """Write problems in the raw format that the published generator writes; whole or not at all.

    Args:
        problems: ProntoQA problems.
        path: the file to make or replace; its folder must exist.

    Raises:
        ProblemError: a problem is no ProntoQA problem (with its index).
        OSError: the file cannot be written; an old one is left as it was.
    """
    examples = {}
    for row, problem in enumerate(problems):
        facts, ask, query = problem.question.partition(f" {ASK}")
        if not ask:
            raise ProblemError(f"problem {row} does not ask {ASK!r}, so it is not of ProntoQA")
        examples[f"example{row + 1}"] = {
            "test_example": {
                "question": facts,
                "query": f"{ASK}{query}",
                "chain_of_thought": [s for step in problem.steps for s in split_sentences(step)],
                "answer": problem.answer,
            }
        }
    write_text(path, json.dumps(examples))


def pair_up(sentences: list[str]) -> tuple[str, ...]:
    """Join the sentences of a chain two at a time, as Coconut's preprocessing does."""
    return tuple(" ".join(sentences[i : i + 2]) for i in range(0, len(sentences), 2))


# --- checking --------------------------------------------------------------------------------


def step_faults(problem: Problem) -> list[str | None]:
    """Check every step of a proof against the stated facts.

    Every sentence of a step must be stated in the question, or follow by one rule from sentences
    before it. Each step is judged on what the steps before it say, be that right or wrong.

    Args:
        problem: a ProntoQA problem.

    Returns:
        For each step why it fails, or None when it holds.

    Raises:
        ProblemError: the question cannot be read.
    """
    stated = frozenset(read_page(problem.question).facts)
    said: set[Claim] = set()
    faults = []
    for step in problem.steps:
        fault = None
        for sentence in split_sentences(step):
            claim = read_claim(sentence)
            if claim is None:
                fault = fault or f"cannot read {sentence!r}"
                continue
            if claim not in stated and not follows(claim, said):
                reason = (
                    "contradicts a stated fact"
                    if claim.opposite in stated
                    else "is neither stated nor follows from the sentences before it"
                )
                fault = fault or f"{sentence!r} {reason}"
            said.add(claim)
        faults.append(fault)
    return faults


def answer_fault(problem: Problem) -> str | None:
    """Say why the answer is not what the stated facts give, or None when it is.

    The facts are followed from the individual asked about, without the steps; then the last
    sentence of the steps must decide the query too.
    """
    page = read_page(problem.question)
    known = consequences(page.facts, page.query.subject)
    yes, no = page.query in known, page.query.opposite in known
    if yes and no:
        return "the stated facts give both the query and its opposite"
    if not yes and not no:
        return "the stated facts decide neither the query nor its opposite"
    if problem.answer != str(yes):
        return f"the answer is {problem.answer}, but the stated facts make the query {yes}"
    sentences = [sentence for step in problem.steps for sentence in split_sentences(step)]
    if sentences:
        last = read_claim(sentences[-1])
        if last != (page.query if yes else page.query.opposite):
            return f"the steps end with {sentences[-1]!r}, which does not decide the query"
    return None


# --- making ----------------------------------------------------------------------------------


def generate_prontoqa(
    count: int,
    seed: int,
    *,
    hops: int | tuple[int, int] = 5,
    distractors: int = 6,
    ordering: str = "random",
) -> list[Problem]:
    """Make ProntoQA problems, in English, in the published style of sentences.

    The result depends on the arguments only, on every machine, and a longer list starts with the
    shorter one.

    Args:
        count: number of problems.
        seed: a number from 0 on.
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
    check_whole(count=count, seed=seed, distractors=distractors)
    if ordering not in ORDERINGS:
        raise ProblemError(f"ordering={ordering!r}; there are {', '.join(ORDERINGS)}")
    counts = evenly("hops", hops)
    if max(counts) + distractors > len(CONCEPTS) // 2:
        raise ProblemError(
            f"{max(counts)} hops and {distractors} distractors may need "
            f"{2 * (max(counts) + distractors)} concepts, but there are {len(CONCEPTS)} names; "
            "give fewer hops or distractors"
        )
    random, deck = Random(seed).random, Deck(counts)
    return [_problem(random, deck.deal(random()), distractors, ordering) for _ in range(count)]


def _problem(random: Stream, hops: int, distractors: int, ordering: str) -> Problem:
    concepts = iter(shuffled(random, CONCEPTS, 2 * (hops + distractors)))
    properties = iter(shuffled(random, PROPERTIES))
    individuals = shuffled(random, ENTITIES, 2)
    # Both chains are made in the same way; only then a coin says which one is asked about.
    asked, negated, shared = int(random() * 2), coin(random), next(properties)
    chains, facts = [], []
    for place, individual in enumerate(individuals):
        path = [individual, *islice(concepts, hops)]
        chain = [
            Claim(a, b, general=i > 0, concept=True) for i, (a, b) in enumerate(pairwise(path))
        ]
        chain.append(Claim(path[-1], shared, True, False, negated ^ bool(place)))
        chains.append(chain)
        facts += list(enumerate(chain))
        facts += _distract(random, path, distractors, concepts, properties)
    facts = shuffled(random, facts)
    if ordering != "random":
        facts.sort(key=lambda item: item[0], reverse=ordering == "backward")
    facts.sort(key=lambda item: not item[1].general)  # stable: individuals come last
    words = {claim: write_claim(claim, pick(random, STYLES)) for _, claim in facts}
    query = Claim(individuals[asked], shared, False, False, negated=coin(random))
    proof = list(_proof(chains[asked], words))
    ending = chains[asked][-1]
    return Problem(
        question=" ".join([*words.values(), ASK, write_claim(query)]),
        steps=pair_up(proof),
        answer=str(ending.negated == query.negated),
    )


def _distract(
    random: Stream,
    path: list[str],
    count: int,
    concepts: Iterator[str],
    properties: Iterator[str],
) -> list[tuple[int, Claim]]:
    """Facts that hang on a chain and lead nowhere, each with its distance from the individual."""
    nodes = list(enumerate(path))
    described = {path[-1]}  # a concept has one property at most, as published
    found = []
    for _ in range(count):
        depth, node = pick(random, nodes)
        property_next = coin(random) and depth > 0 and node not in described
        if property_next:
            described.add(node)
            claim = Claim(node, next(properties), True, False, negated=coin(random))
        else:
            claim = Claim(node, next(concepts), depth > 0, True)
            nodes.append((depth + 1, claim.predicate))
        found.append((depth, claim))
    return found


def _proof(chain: list[Claim], words: Mapping[Claim, str]) -> Iterator[str]:
    yield words[chain[0]]
    for rule in chain[1:]:
        yield words[rule]
        yield write_claim(
            Claim(chain[0].subject, rule.predicate, False, rule.concept, rule.negated)
        )


# --- shortcuts -------------------------------------------------------------------------------


def _distances(page: Page) -> dict[str, int]:
    """Hops to every concept from the nearest individual."""
    queue = [fact.subject for fact in page.facts if not fact.general]
    hops = dict.fromkeys(queue, 0)
    queue = list(hops)
    for node in queue:
        for fact in page.facts:
            if fact.subject == node and fact.concept and fact.predicate not in hops:
                hops[fact.predicate] = hops[node] + 1
                queue.append(fact.predicate)
    return hops


def _gap(page: Page, place: int) -> int:
    asked = page.query.subject
    return min((abs(place - i) for i, f in enumerate(page.facts) if f.subject == asked), default=0)


# A rule chooses, among the facts about the property asked for, the one with the higher score (its
# opposite: the lower one), and answers as if that fact were about the individual.
Score = Callable[[Page, int], float]
RULES: Mapping[tuple[str, str], Score] = {
    ("believe the fact stated last", "believe the fact stated first"): lambda page, place: place,
    ("believe the fact with 'not'", "believe the fact without 'not'"): (
        lambda page, place: page.facts[place].negated
    ),
    ("believe the concept mentioned more often", "believe the concept mentioned less often"): (
        lambda page, place: sum(
            page.facts[place].subject in (fact.subject, fact.predicate) for fact in page.facts
        )
    ),
    ("believe the concept to which more facts lead", "believe the one to which fewer lead"): (
        lambda page, place: sum(page.facts[place].subject == f.predicate for f in page.facts)
    ),
    ("believe the concept farther from individuals", "believe the concept nearer to them"): (
        lambda page, place: _distances(page).get(page.facts[place].subject, -1)
    ),
    ("believe the fact stated farther from who is asked", "believe the one stated nearer"): _gap,
    ("believe the concept later in the alphabet", "believe the concept earlier in it"): (
        lambda page, place: sum(
            fact.subject < page.facts[place].subject
            for fact in page.facts
            if fact.predicate == page.query.predicate
        )
    ),
}


def prontoqa_shortcuts(problems: Iterable[Problem]) -> dict[str, float]:
    """Measure how often rules that follow no chain give the right answer.

    Args:
        problems: ProntoQA problems; 1,000 of them give ± 3%.

    Returns:
        Rule → accuracy between 0 and 1, the best rule first. Tied facts count as a draw among
        them, and a property that no fact mentions counts one half.

    Raises:
        ProblemError: there are no problems, or one is no ProntoQA problem (with its index).
    """
    wins: dict[str, float] = defaultdict(float)
    count = 0
    for count, problem in enumerate(problems, start=1):
        try:
            page = read_page(problem.question)
        except ProblemError as error:
            raise ProblemError(f"problem {count - 1}: {error}") from None
        right = problem.answer == ANSWERS[0]
        wins["always True"] += right
        wins["always False"] += not right
        wins["True if the query says 'not'"] += page.query.negated == right
        wins["False if the query says 'not'"] += page.query.negated != right
        # Facts about the property asked for, and whether believing them gives the right answer.
        told = {
            place: (fact.negated == page.query.negated) == right
            for place, fact in enumerate(page.facts)
            if (fact.predicate, fact.concept) == (page.query.predicate, page.query.concept)
        }
        for (higher, lower), score in RULES.items():
            scores = {place: score(page, place) for place in told}
            for name, choose in ((higher, max), (lower, min)):
                chosen = choose(scores.values(), default=0)
                tied = [told[place] for place, value in scores.items() if value == chosen]
                wins[name] += sum(tied) / len(tied) if tied else 0.5
    return ranked(wins, count)

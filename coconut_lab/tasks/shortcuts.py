"""What rules score that do no reasoning: they look at the surface of a problem only.

A task that such a rule solves does not show reasoning. On the published validation file of ProsQA
"the option farther from its nearest parentless node" is right in 92.5% of the problems. On that of
GSM8K the best rule that reads no sentence, the most common answer, is right in 4.2%; the best one
that uses the numbers of the question, their product, in 2.2%.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import prod
from statistics import fmean
from typing import TypeVar

from coconut_lab.tasks.arithmetic import number, numbers_in
from coconut_lab.tasks.graph import Graph
from coconut_lab.tasks.gsm8k import answer_fault
from coconut_lab.tasks.notation import ProblemError, Statement, read_statement
from coconut_lab.tasks.problems import Problem, graph_of
from coconut_lab.tasks.prontoqa_logic import ParsedQuestion, parse_question

_Seen = TypeVar("_Seen")
# A rule and its opposite, and the score of a candidate: the rule chooses the candidate with the
# higher score, its opposite the one with the lower.
_Rules = Mapping[tuple[str, str], Callable[[_Seen, int], float]]


def _judge(
    rules: _Rules[_Seen], seen: _Seen, candidates: Mapping[int, bool], wins: dict[str, float]
) -> None:
    """Add to the wins of each rule, given which candidates are right; tied ones share a win."""
    for (higher, lower), score in rules.items():
        scores = {candidate: score(seen, candidate) for candidate in candidates}
        for name, choose in ((higher, max), (lower, min)):
            chosen = choose(scores.values(), default=0)
            tied = [candidates[candidate] for candidate, s in scores.items() if s == chosen]
            wins[name] += sum(tied) / len(tied) if tied else 0.5


def _ranked(wins: Mapping[str, float], count: int) -> dict[str, float]:
    """Turn wins of rules into accuracies over `count` problems, the best rule first."""
    return dict(sorted(((k, w / count) for k, w in wins.items()), key=lambda item: -item[1]))


# --- ProsQA ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Surface:
    """One ProsQA problem as a rule sees it."""

    graph: Graph  # a rule must not read its target and distractor
    statement: Statement

    @cached_property
    def from_entities(self) -> list[tuple[int | None, ...]]:
        """For each parentless node, the hops to every node."""
        nodes = range(len(self.graph.names))
        return [self.graph.distances(node) for node in nodes if not self.graph.parents(node)]

    def hops_to(self, node: int) -> list[int]:
        """Hops to a node from each parentless node from which it can be reached."""
        return [far for hops in self.from_entities if (far := hops[node]) is not None]

    def ancestors(self, node: int) -> list[int]:
        """All nodes above a node."""
        found = [node]
        for above in found:
            found += [p for p in self.graph.parents(above) if p not in found]
        return found[1:]

    def places(self, name: str) -> list[int]:
        """Places, among the facts, of those that mention a name."""
        return [place for place, fact in enumerate(self.statement.facts) if name in fact]

    def gap(self, name: str) -> int:
        """Smallest number of places between a fact naming it and one naming who is asked about."""
        asked = self.places(self.statement.asked)
        return min(abs(a - b) for a in asked for b in self.places(name))


PROSQA_RULES: _Rules[Surface] = {
    ("offered second", "offered first"): (
        lambda seen, node: seen.statement.options.index(seen.graph.names[node])
    ),
    ("farther from its nearest entity", "nearer to its nearest entity"): (
        lambda seen, node: min(seen.hops_to(node))
    ),
    ("farther from its farthest entity", "nearer to its farthest entity"): (
        lambda seen, node: max(seen.hops_to(node))
    ),
    ("farther from its entities on average", "nearer to its entities on average"): (
        lambda seen, node: fmean(seen.hops_to(node))
    ),
    ("longer longest way down to it", "shorter longest way down to it"): (
        lambda seen, node: seen.graph.layers()[node]
    ),
    ("below more entities", "below fewer entities"): (lambda seen, node: len(seen.hops_to(node))),
    ("more parents", "fewer parents"): lambda seen, node: len(seen.graph.parents(node)),
    ("more ancestors", "fewer ancestors"): lambda seen, node: len(seen.ancestors(node)),
    ("more siblings", "fewer siblings"): (
        lambda seen, node: sum(len(seen.graph.children(p)) for p in seen.graph.parents(node))
    ),
    ("mentioned in more facts", "mentioned in fewer facts"): (
        lambda seen, node: len(seen.places(seen.graph.names[node]))
    ),
    ("mentioned later at first", "mentioned earlier at first"): (
        lambda seen, node: seen.places(seen.graph.names[node])[0]
    ),
    ("mentioned later at last", "mentioned earlier at last"): (
        lambda seen, node: seen.places(seen.graph.names[node])[-1]
    ),
    ("stated farther from who is asked", "stated closer to who is asked"): (
        lambda seen, node: seen.gap(seen.graph.names[node])
    ),
    ("later in the alphabet", "earlier in the alphabet"): (
        lambda seen, node: float(seen.graph.names[node] == max(seen.statement.options))
    ),
    ("longer name", "shorter name"): lambda seen, node: len(seen.graph.names[node]),
}


def prosqa_shortcuts(problems: Sequence[Problem]) -> dict[str, float]:
    """Measure how often each rule finds the right option; on a fair task that is half the time."""
    wins: dict[str, float] = defaultdict(float)
    for problem in problems:
        graph = graph_of(problem)
        seen = Surface(graph, read_statement(problem.question))
        _judge(PROSQA_RULES, seen, {graph.target: True, graph.distractor: False}, wins)
    return _ranked(wins, len(problems))


# --- ProntoQA ----------------------------------------------------------------------------------


def _hops_from_people(question: ParsedQuestion) -> dict[str, int]:
    """Hops to every concept from the nearest individual."""
    hops = {fact.subject: 0 for fact in question.facts if not fact.general}
    queue = list(hops)
    for node in queue:
        for fact in question.facts:
            if fact.subject == node and fact.concept and fact.predicate not in hops:
                hops[fact.predicate] = hops[node] + 1
                queue.append(fact.predicate)
    return hops


def _gap(question: ParsedQuestion, place: int) -> int:
    asked = question.query.subject
    places = [i for i, fact in enumerate(question.facts) if fact.subject == asked]
    return min((abs(place - i) for i in places), default=0)


# The candidates are the facts about the property asked for, by their place; a rule answers as if
# the fact it chooses were about the individual.
PRONTOQA_RULES: _Rules[ParsedQuestion] = {
    ("believe the fact stated last", "believe the fact stated first"): lambda seen, place: place,
    ("believe the fact with 'not'", "believe the fact without 'not'"): (
        lambda seen, place: seen.facts[place].negated
    ),
    ("believe the concept mentioned more often", "believe the concept mentioned less often"): (
        lambda seen, place: sum(
            seen.facts[place].subject in (fact.subject, fact.predicate) for fact in seen.facts
        )
    ),
    ("believe the concept to which more facts lead", "believe the one to which fewer lead"): (
        lambda seen, place: sum(seen.facts[place].subject == f.predicate for f in seen.facts)
    ),
    ("believe the concept farther from individuals", "believe the concept nearer to them"): (
        lambda seen, place: _hops_from_people(seen).get(seen.facts[place].subject, -1)
    ),
    ("believe the fact stated farther from who is asked", "believe the one stated nearer"): _gap,
    ("believe the concept later in the alphabet", "believe the concept earlier in it"): (
        lambda seen, place: sum(
            fact.subject < seen.facts[place].subject
            for fact in seen.facts
            if fact.predicate == seen.query.predicate
        )
    ),
}


def prontoqa_shortcuts(problems: Sequence[Problem]) -> dict[str, float]:
    """Measure how often each rule is right; a property that no fact mentions counts one half."""
    wins: dict[str, float] = defaultdict(float)
    for row, problem in enumerate(problems):
        try:
            seen = parse_question(problem.question)
        except ProblemError as error:
            raise ProblemError(f"problem {row}: {error}") from None
        query, right = seen.query, problem.answer == "True"
        wins["always True"] += right
        wins["always False"] += not right
        wins["True if the query says 'not'"] += query.negated == right
        wins["False if the query says 'not'"] += query.negated != right
        candidates = {
            place: (fact.negated == query.negated) == right
            for place, fact in enumerate(seen.facts)
            if (fact.predicate, fact.concept) == (query.predicate, query.concept)
        }
        _judge(PRONTOQA_RULES, seen, candidates, wins)
    return _ranked(wins, len(problems))


# --- GSM8K -------------------------------------------------------------------------------------

# A rule makes its guess from the numbers that the question gives in digits, in order.
GSM8K_RULES: Mapping[str, Callable[[list[Fraction]], Fraction | int]] = {
    "the first number": lambda found: found[0],
    "the last number": lambda found: found[-1],
    "the largest number": max,
    "the smallest number": min,
    "the sum of all numbers": sum,
    "the product of all numbers": prod,
    "the sum of the last two numbers": lambda found: sum(found[-2:]),
    "the product of the last two numbers": lambda found: prod(found[-2:]),
    "the product of the first two numbers": lambda found: prod(found[:2]),
    "the largest number less the smallest": lambda found: max(found) - min(found),
}
COMMONEST = "the most common answer of these problems"


def gsm8k_shortcuts(problems: Sequence[Problem]) -> dict[str, float]:
    """Measure how often each rule, which reads no sentence, is right."""
    wins: dict[str, float] = dict.fromkeys((*GSM8K_RULES, COMMONEST), 0.0)
    answers: Counter[Fraction] = Counter()
    for row, problem in enumerate(problems):
        answer = number(problem.answer)
        if answer is None:
            raise ProblemError(f"problem {row}: {answer_fault(problem)}")
        answers[answer] += 1
        found = numbers_in(problem.question)
        for name, rule in GSM8K_RULES.items():
            wins[name] += bool(found) and rule(found) == answer
    wins[COMMONEST] = max(answers.values())
    return _ranked(wins, len(problems))


SHORTCUTS = {
    "prosqa": prosqa_shortcuts,
    "prontoqa": prontoqa_shortcuts,
    "gsm8k": gsm8k_shortcuts,
}

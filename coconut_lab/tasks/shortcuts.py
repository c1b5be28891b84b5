"""What rules score that do no reasoning: they look at the surface of a problem only.

A task that such a rule solves does not show reasoning. On the published validation file of ProsQA
"the option farther from its nearest parentless node" is right in 92.5% of the problems. On that of
GSM8K the best rule that reads no sentence, the most common answer, is right in 4.2%; the best one
that uses the numbers of the question, their product, in 2.2%.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import prod
from statistics import fmean

from coconut_lab.tasks.arithmetic import number, numbers_in
from coconut_lab.tasks.graph import Graph
from coconut_lab.tasks.gsm8k import answer_fault
from coconut_lab.tasks.notation import ProblemError, Statement, placed, read_statement
from coconut_lab.tasks.problems import Problem, graph_of
from coconut_lab.tasks.prontoqa_logic import ParsedQuestion, parse_question

# A rule and its opposite, with their scores of the candidates: the rule chooses the candidate with
# the highest score, its opposite the one with the lowest.
_Scores = Mapping[tuple[str, str], Sequence[float]]


def _judge(scores: _Scores, right: Sequence[bool], wins: dict[str, float]) -> None:
    """Add to the wins of each rule, given which candidates are right; tied ones share a win."""
    for names, found in scores.items():
        for name, choose in zip(names, (max, min), strict=True):
            chosen = choose(found, default=0)
            tied = [one for one, score in zip(right, found, strict=True) if score == chosen]
            wins[name] += fmean(tied) if tied else 0.5


def _ranked(wins: Mapping[str, float], count: int) -> dict[str, float]:
    """Turn wins of rules into accuracies over `count` problems, the best rule first."""
    return dict(sorted(((k, w / count) for k, w in wins.items()), key=lambda item: -item[1]))


# --- ProsQA ------------------------------------------------------------------------------------


def _prosqa_scores(graph: Graph, said: Statement, options: Sequence[int]) -> _Scores:
    """Score the two options; no rule reads which of them is the graph's target."""
    names = [graph.names[node] for node in options]
    parents = [graph.parents(node) for node in options]
    above = [graph.above(node) for node in options]
    # Hops from each parentless node above, and the places of the facts that mention a name.
    tops = [[far for node, far in hops.items() if not graph.parents(node)] for hops in above]
    *places, asked = (
        [place for place, fact in enumerate(said.facts) if name in fact]
        for name in (*names, said.asked)
    )
    gaps = [min(abs(a - b) for a in asked for b in here) for here in places]
    siblings = [sum(len(graph.children(parent)) for parent in up) for up in parents]
    layers = graph.layers()
    return {
        ("offered second", "offered first"): [*map(said.options.index, names)],
        ("farther from its nearest entity", "nearer to its nearest entity"): [*map(min, tops)],
        ("farther from its farthest entity", "nearer to its farthest entity"): [*map(max, tops)],
        ("farther from its entities on average", "nearer to its entities on average"): (
            [*map(fmean, tops)]
        ),
        ("longer longest way down to it", "shorter longest way down to it"): (
            [layers[node] for node in options]
        ),
        ("below more entities", "below fewer entities"): [*map(len, tops)],
        ("more parents", "fewer parents"): [*map(len, parents)],
        ("more ancestors", "fewer ancestors"): [*map(len, above)],
        ("more siblings", "fewer siblings"): siblings,
        ("mentioned in more facts", "mentioned in fewer facts"): [*map(len, places)],
        ("mentioned later at first", "mentioned earlier at first"): [*map(min, places)],
        ("mentioned later at last", "mentioned earlier at last"): [*map(max, places)],
        ("stated farther from who is asked", "stated closer to who is asked"): gaps,
        ("later in the alphabet", "earlier in the alphabet"): [n == max(names) for n in names],
        ("longer name", "shorter name"): [*map(len, names)],
    }


def prosqa_shortcuts(problems: Sequence[Problem]) -> dict[str, float]:
    """Measure how often each rule finds the right option; on a fair task that is half the time."""
    wins: dict[str, float] = defaultdict(float)
    for problem in problems:
        graph = graph_of(problem)
        options = graph.target, graph.distractor
        said = read_statement(problem.question)
        _judge(_prosqa_scores(graph, said, options), (True, False), wins)
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


def _prontoqa_scores(question: ParsedQuestion, places: Sequence[int]) -> _Scores:
    """Score the facts about the property asked for, by their places.

    A rule answers as if the fact it chooses were about the individual.
    """
    facts, hops = question.facts, _hops_from_people(question)
    asked = [i for i, fact in enumerate(facts) if fact.subject == question.query.subject]
    told = [fact.subject for fact in facts if fact.predicate == question.query.predicate]
    of = [facts[place].subject for place in places]
    named = Counter(name for fact in facts for name in {fact.subject, fact.predicate})
    led_to = Counter(fact.predicate for fact in facts)
    gap = [min((abs(place - i) for i in asked), default=0) for place in places]
    earlier = [sum(other < subject for other in told) for subject in of]
    return {
        ("believe the fact stated last", "believe the fact stated first"): places,
        ("believe the fact with 'not'", "believe the fact without 'not'"): (
            [facts[place].negated for place in places]
        ),
        ("believe the concept mentioned more often", "believe the concept mentioned less often"): (
            [named[subject] for subject in of]
        ),
        ("believe the concept to which more facts lead", "believe the one to which fewer lead"): (
            [led_to[subject] for subject in of]
        ),
        ("believe the concept farther from individuals", "believe the concept nearer to them"): (
            [hops.get(subject, -1) for subject in of]
        ),
        ("believe the fact stated farther from who is asked", "believe the one stated nearer"): gap,
        ("believe the concept later in the alphabet", "believe the concept earlier in it"): earlier,
    }


def prontoqa_shortcuts(problems: Sequence[Problem]) -> dict[str, float]:
    """Measure how often each rule is right; a property that no fact mentions counts one half."""
    wins: dict[str, float] = defaultdict(float)
    for row, problem in enumerate(problems):
        with placed(f"problem {row}"):
            seen = parse_question(problem.question)
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
        _judge(_prontoqa_scores(seen, list(candidates)), list(candidates.values()), wins)
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

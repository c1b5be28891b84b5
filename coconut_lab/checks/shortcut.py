"""The check of 01's exercise 5: the option farther from any parentless node."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean
from typing import Any

from coconut_lab.checks.base import CheckFailed, call, compare_lists, passed
from coconut_lab.tasks.notation import Statement, read_statement
from coconut_lab.tasks.prosqa import generate_prosqa

TIE = "tie"


def _statements() -> list[Statement]:
    problems = [*generate_prosqa(60, 5), *generate_prosqa(40, 6, "small")]
    return [read_statement(problem.question) for problem in problems]


class _Facts:
    """What the rules of exercise 5, right and wrong, ask of the facts."""

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        children = {child for _, child in statement.facts}
        self.entities = sorted({parent for parent, _ in statement.facts} - children)
        self.hops = {start: self._hops(start) for start in self.entities}

    def _hops(self, start: str) -> dict[str, int]:
        hops, queue = {start: 0}, [start]
        for node in queue:
            for parent, child in self.statement.facts:
                if parent == node and child not in hops:
                    hops[child] = hops[node] + 1
                    queue.append(child)
        return hops

    def ways(self, option: str) -> list[int]:
        """Hops to an option from every parentless node that leads to it."""
        return [hops[option] for hops in self.hops.values() if option in hops]

    def longest(self, node: str) -> int:
        """Hops of the longest way down to a node."""
        above = [parent for parent, child in self.statement.facts if child == node]
        return max((self.longest(parent) + 1 for parent in above), default=0)

    def choose(self, score: Callable[[str], float], tie: int | None = None) -> str:
        """The option with the higher score; on a tie the option with index `tie`, or "tie"."""
        first, second = self.statement.options
        if score(first) == score(second):
            return TIE if tie is None else self.statement.options[tie]
        return first if score(first) > score(second) else second


def _nearest(facts: _Facts) -> Callable[[str], float]:
    return lambda option: min(facts.ways(option))


def _from_asked(facts: _Facts, missing: int) -> Callable[[str], float]:
    return lambda option: facts.hops[facts.statement.asked].get(option, missing)


_RULE_MISTAKES: tuple[tuple[str, Callable[[_Facts], str]], ...] = (
    (
        "it measures from who is asked about and takes the option that can be reached. That solves "
        "the task; a shortcut never reads who is asked. Measure from every parentless node",
        lambda facts: facts.choose(_from_asked(facts, -1)),
    ),
    (
        "it measures from who is asked about, so the option out of reach counts as farther. A "
        "shortcut never reads who is asked. Measure from every parentless node",
        lambda facts: facts.choose(_from_asked(facts, 10**6)),
    ),
    (
        "it takes the nearer option. The rule is: the farther one",
        lambda facts: facts.choose(lambda option: -min(facts.ways(option))),
    ),
    (
        "it measures from the farthest parentless node. The distance of an option is that from the "
        "*nearest* one: the smallest number of hops",
        lambda facts: facts.choose(lambda option: max(facts.ways(option))),
    ),
    (
        "it takes the mean over the parentless nodes. The distance of an option is that from the "
        "nearest one",
        lambda facts: facts.choose(lambda option: fmean(facts.ways(option))),
    ),
    (
        "it counts the longest way down to an option. A distance is the smallest number of hops",
        lambda facts: facts.choose(facts.longest),
    ),
    (
        "on a tie it takes the first option. Say 'tie' there, or the order of the options gets "
        "into your measurement",
        lambda facts: facts.choose(_nearest(facts), 0),
    ),
    (
        "on a tie it takes the second option. Say 'tie' there, or the order of the options gets "
        "into your measurement",
        lambda facts: facts.choose(_nearest(facts), 1),
    ),
    (
        "it always says 'tie'. Does it start from every name? Then every option is 0 hops away; "
        "start from those that are no fact's second name",
        lambda facts: TIE,
    ),
)


def farther_option(function: Callable[..., Any]) -> None:
    """Check exercise 5: the option farther from any parentless node.

    Args:
        function: `(statement)`, a `Statement`, to the name of an option, or "tie".

    Raises:
        CheckFailed: what is wrong.
    """
    name = "farther_option"
    all_facts = [_Facts(statement) for statement in _statements()]
    # First one that is no tie, so that a function that says nothing is known for unwritten.
    all_facts.sort(key=lambda facts: facts.choose(_nearest(facts)) == TIE)
    got: list[Any] = []
    for facts in all_facts:
        try:
            said = call(name, function, facts.statement)
        except CheckFailed as error:
            if got and "returns None" in str(error):
                raise CheckFailed(f"{name}: on a tie it should return 'tie', not None.") from None
            raise
        if not isinstance(said, str) or said not in (*facts.statement.options, TIE):
            raise CheckFailed(
                f"{name} should return {' or '.join(facts.statement.options)}, the options of this "
                f"question, or 'tie', not {said!r}."
            )
        got.append(said)
    want = [facts.choose(_nearest(facts)) for facts in all_facts]

    def differs(at: int) -> str:
        ways = {
            option: min(all_facts[at].ways(option)) for option in all_facts[at].statement.options
        }
        return (
            f"with distances {ways} it says {got[at]}, it should say {want[at]}; "
            "wrong in this and maybe other problems"
        )

    mistakes = [(message, [rule(facts) for facts in all_facts]) for message, rule in _RULE_MISTAKES]
    compare_lists(name, got, want, mistakes, differs)
    ties = want.count(TIE)
    passed(name, f"right in {len(want)} problems, of which {ties} are ties")

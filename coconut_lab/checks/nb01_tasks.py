"""The exercises of notebook 01: latent inputs, chains, exact arithmetic, graphs, a shortcut."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any

import networkx as nx

from coconut_lab.checks.engine import CheckFailed, Function, exercise
from coconut_lab.tasks.notation import Statement, read_statement
from coconut_lab.tasks.prosqa import generate_prosqa

# --- exercise 1 -----------------------------------------------------------------------------------

QUESTION = "| Tom yumpus | yumpus rempus [Q] rempus lempus [R] Tom"
ROWS = (
    "yumpus rempus ### rempus",  # no markers
    "<bot> <eot> yumpus rempus ### rempus",  # stage 0
    "<bot> <thought> <thought> <thought> <eot> rempus ### rempus",
    "<bot> <thought> <eot> ### rempus",
    "<bot> <thought> <thought>",  # still thinking
)
IS_THOUGHT = 'token == "<thought>"'


@exercise(
    cases=lambda: [(f"{QUESTION} {row}".split(),) for row in ROWS],
    returns="the list",
    says="a hidden state goes in at placeholders only, that of the position before",
    shown=lambda tokens: f", in the row '… {' '.join(tokens[11:])}'",
    mistakes={
        "<bot> does not get a hidden state. It is a token like any other, and its embedding goes "
        "in; what comes out of it is the first thought.": (
            IS_THOUGHT, 'token in ("<bot>", "<thought>")'),
        "<eot> does not get a hidden state. Latent mode is over there: its embedding goes in.": (
            IS_THOUGHT, 'token in ("<thought>", "<eot>")'),
        "neither <bot> nor <eot> gets a hidden state. Both are tokens, and their embeddings go "
        "in.": (IS_THOUGHT, 'token in ("<bot>", "<thought>", "<eot>")'),
        "the first thought is missing: the first placeholder gets the hidden state of <bot>.": (
            IS_THOUGHT, 'token == tokens[at - 1] == "<thought>"'),
        "only the first placeholder gets a hidden state. Each one does.": (
            IS_THOUGHT, 'token == "<thought>" != tokens[at - 1]'),
        "off by one: a placeholder gets the hidden state of the position before it. Its own comes "
        "out only after something went in.": ("at - 1", "at"),
        "off by one: it is the position right before the placeholder.": ("at - 1", "at - 2"),
        "every thought comes from <bot> here. Only the first does; each later one is the hidden "
        "state of the thought before it.": ("at - 1", 'tokens.index("<bot>")'),
        "you marked where a hidden state is taken, not where it goes in: one position too early.":
            (("at - 1", "at"), (IS_THOUGHT, 'tokens[at + 1 : at + 2] == ["<thought>"]')),
        "everything after <bot> is taken for latent. From <eot> on it is language mode again.": (
            IS_THOUGHT, '"<bot>" in tokens[:at]'),
        "positions count from 0 here, so the hidden state of <bot> has the index of <bot>, and the "
        "index of the placeholder less one.": ("at - 1", 'at - 1 - tokens.index("<bot>")'),
        "the list should have one entry per token: None where its embedding goes in.": (
            f"{IS_THOUGHT} else None for at, token in enumerate(tokens)",
            f"at else 0 for at, token in enumerate(tokens) if {IS_THOUGHT}"),
        "where a token's embedding goes in, the entry is None, not a position.": ("None", "at"),
        "a row may be without <bot> and <eot>, and it may end before <eot>: .index then raises "
        "ValueError.": ("return", 'tokens.index("<bot>")\n    return'),
    },
)  # fmt: skip
def fed_from(tokens: list[str]) -> list[int | None]:
    """Exercise 1 of 01: for each token None, or the position whose hidden state goes in."""
    return [at - 1 if token == "<thought>" else None for at, token in enumerate(tokens)]


# --- exercise 2 -----------------------------------------------------------------------------------

FACTS = """
Tom yumpus | Tom dumpus | yumpus rempus | dumpus rempus | rempus lempus | Max numpus | numpus lempus
| dumpus terpus | numpus terpus | Tom lempuster | Tom gerpus | gerpus dumpus"""
#: A chain and its answer → why it holds or does not.
CHAINS = {
    ("Tom yumpus rempus lempus", "lempus"): "every edge is stated",
    ("Tom yumpus", "yumpus"): "its one edge is stated",
    ("Tom gerpus dumpus terpus", "terpus"): "that a shorter chain exists does not matter",
    ("Tom numpus lempus", "lempus"): "no fact says that Tom is a numpus",
    ("Tom lempus", "lempus"): "no fact says that Tom is a lempus; that takes more hops",
    ("Tom yumpus lempus", "lempus"): "it jumps over rempus",
    ("Tom yumpus numpus rempus lempus", "lempus"): "yumpus → numpus is no fact",
    ("Tom yumpus terpus", "terpus"): "yumpus → terpus is no fact",
    ("Tom yumpus rempus dumpus terpus", "terpus"): "the fact is dumpus → rempus",
    ("lempus rempus yumpus", "yumpus"): "facts lead from parent to child",
    ("Tom yumpus rempus", "lempus"): "it ends at rempus",
    ("Tom yumpus rempus lempus", "rempus"): "it ends at lempus",
    ("Tom lempuster", "lempus"): "lempuster is another name than lempus",
    ("Tom", "lempus"): "without steps, nothing leads to lempus",
}
AT_END, STATED = "chain[-1] == answer", "edge in facts"
GOOD = "it says False for a good chain: Tom → yumpus → rempus → lempus"


@exercise(
    cases=lambda: [
        ([tuple(fact.split()) for fact in FACTS.split("|")], asked, answer, tuple(steps))
        for (asked, *steps), answer in ((chain.split(), answer) for chain, answer in CHAINS)
    ],
    returns="the result",
    says="every edge stated, from who is asked about to the answer",
    shown=lambda facts, asked, answer, steps: (
        f" for the chain {' → '.join((asked, *steps))} and the answer {answer}: "
        f"{CHAINS[' '.join((asked, *steps)), answer]}"
    ),
    mistakes={
        f"{GOOD}, every edge stated. A fact (parent, child) is used from parent to child, and the "
        "chain starts at who is asked about.": (STATED, "edge[::-1] in facts"),
        f"{GOOD}. The last step is the answer already; do not put the answer after it.": (
            "(asked, *steps)", "(asked, *steps, answer)"),
        f"{GOOD}. dict(facts) keeps one child of each parent; a parent may have several.": (
            STATED, "edge in dict(facts).items()"),
        f"{GOOD}. Only the first step leads from who is asked about, each later one from the step "
        "before.": (STATED, "(asked, edge[1]) in facts"),
        "it says False for every chain. Facts are tuples, and a list never equals a tuple.": (
            STATED, "list(edge) in facts"),
        "it says False for a good chain of one step, Tom → yumpus.": (
            AT_END, f"len(steps) > 1 and {AT_END}"),
        "it says False for a good chain because a shorter one exists. Only the edges and the end "
        "count, not the length.": (
            AT_END, f"hops_from(facts, asked).get(answer) == len(steps) and {AT_END}"),
        "the first edge is not checked. The first step leads from who is asked about, here Tom, "
        "to numpus, and no fact says that Tom is a numpus.": ("pairwise(chain)", "pairwise(steps)"),
        "the last edge is not checked. Every edge has to be stated.": (
            "pairwise(chain)", "pairwise(chain[:-1])"),
        "a step that no fact states is passed over. The chain does not hold then.": (
            "return chain[-1]", "for step in steps:\n        if (asked, step) in facts:\n"
            "            asked = step\n    return asked == answer\n    return chain[-1]"),
        "it says True for Tom → lempus, a chain that jumps over hops. That lempus can be reached "
        "is not enough: each step is one stated fact.": (
            STATED, "edge[1] in hops_from(facts, edge[0])"),
        "it says True although yumpus → numpus is no fact. Only the ends of the chain seem to be "
        "checked; every edge has to be stated.": (
            f"all({STATED} for edge in pairwise(chain))", "chain[:2] in facts"),
        "only the end of the chain is checked; every edge has to be stated.": (
            f" and all({STATED} for edge in pairwise(chain))", ""),
        "one stated edge is enough for it. Every edge has to be stated: all, not any.": (
            "all(", "any("),
        "it takes an edge in the wrong direction: rempus → dumpus, but the fact is that every "
        "dumpus is a rempus.": (STATED, "(edge in facts or edge[::-1] in facts)"),
        "the end is not checked: the chain ends at rempus, the answer is lempus.": (
            AT_END, "bool(steps)"),
        "the end is not checked: even a chain without steps holds.": (f"{AT_END} and ", ""),
        "the answer has to be the end of the chain, not just somewhere in it.": (
            AT_END, "answer in steps"),
        "the answer is looked for in a text, and lempus is a part of lempuster. It has to be the "
        "end of the chain.": (AT_END, "answer in ' '.join(steps)"),
        "it says True for a chain without steps; nothing leads to lempus.": (
            AT_END, f"(not steps or {AT_END})"),
        "a chain may have no steps, and then steps[-1] raises IndexError.": (
            AT_END, "steps[-1] == answer"),
    },
)  # fmt: skip
def chain_holds(
    facts: list[tuple[str, str]], asked: str, answer: str, steps: tuple[str, ...]
) -> bool:
    """Exercise 2 of 01: does every step use a stated fact, and does the last end at the answer?"""
    chain = (asked, *steps)
    return chain[-1] == answer and all(edge in facts for edge in pairwise(chain))


def hops_from(facts: Iterable[tuple[str, str]], start: str) -> dict[str, int]:
    """The hops from a name to every name that it leads to."""
    return dict(nx.single_source_shortest_path_length(nx.DiGraph(facts), start))


# --- exercise 3 -----------------------------------------------------------------------------------

#: A step → what to say of it besides, to a function that gets it wrong.
STEPS = dict.fromkeys(
    "3*60=180 12-5=8 5-8=-3 2*3=-6 5*0=0 1,250*4=5,000 1,000,000/4=250000".split(), ""
) | {
    ".1+.2=.3": ". Floating point would give 0.30000000000000004",
    "15%*80=1200": "; 15% is 15/100",
    "15%*80=12": "; 15% is 15/100",
    "6/50%=12": "; 50% is 1/2",
    "1/4=25%": "; the result may carry a percent sign too",
    "7/2=3": "; nothing is cut to a whole number",
    "10/3=3.33": "; nothing is rounded",
    "10000000000+1=10000000000": "; an exact value needs no tolerance",
    "1/3=.3333333333333333": "; only the nearest float is the same",
    "1/3=.3333333333333333333333333333": "; 28 digits are not 1/3 either",
}
WITHOUT_COMMAS, EQUAL = 'text.replace(",", "")', "values[sign]() == number(right)"
WITH_PERCENT = 'value / 100 if text.endswith("%") else value'


@exercise(
    cases=lambda: [(f"<<{step}>>",) for step in STEPS],
    returns="the result",
    says="recomputed exactly, with commas, percent, decimals and signs",
    shown=lambda step: f" for {step}{STEPS[step[2:-2]]}",
    mistakes={
        "it says True for <<12-5=8>>, which is 7.": (EQUAL, "True"),
        "a result may be negative: <<5-8=-3>> is right.": (
            EQUAL, f"right[0] != '-' and {EQUAL}"),
        "the sign of a negative result is taken for the operation. Look for the operation on the "
        "left of = only.": ("mark in left", "mark in step"),
        "all four operations are computed, a / b too, even where b is 0 in a product. Compute only "
        "the one that the step has.": (("lambda: ", ""), ("[sign]()", "[sign]")),
        "a comma is a thousands separator, on both sides: 1,250 is 1250.": (
            WITHOUT_COMMAS, 'text.split(",")[0]'),
        "a comma is a thousands separator, not a decimal point: 1,000,000 is a million.": (
            WITHOUT_COMMAS, 'text.replace(",", ".", 1).replace(",", "")'),
        "take the commas out before you make the fraction.": (WITHOUT_COMMAS, "text"),
        "floating point: 0.1 + 0.2 == 0.3 is False for floats, yet <<.1+.2=.3>> is right. Compute "
        "with Fraction, made from the text.": ("Fraction(", "float("),
        "floating point: 0.1 + 0.2 == 0.3 is False for fractions made from floats, too. Make the "
        "Fraction from the text.": (WITH_PERCENT, f"Fraction(float({WITH_PERCENT}))"),
        "Decimal rounds to 28 digits: 1/3 is not .3333333333333333333333333333. Compute with "
        "Fraction.": ("Fraction(", "__import__('decimal').Decimal("),
        "the percent sign is dropped: 15% is 15/100, so 15% * 80 is 12, not 1200.": (
            WITH_PERCENT, "value"),
        "a percentage belongs together: 6/50% is 6 / (50/100), not 6/50/100.": (
            "a / b", "a / b / (10000 if left[-1] == '%' else 1)"),
        "take the percent sign off before you make the fraction.": ('.rstrip("%")', ""),
        "the result may carry a percent sign too: 1/4 is 25%.": (
            "number(right)", 'Fraction(right.replace(",", "").rstrip("%"))'),
        "the division is cut to a whole number: 7/2 is 3.5, not 3. Use / on fractions, not //.": (
            "a / b", "a // b"),
        "it compares rounded values: 10/3 is not 3.33. (The package counts this step as holding "
        "'as rounded'; here only exact steps hold.)": (
            EQUAL, "round(values[sign](), 2) == round(number(right), 2)"),
        "it compares with a tolerance. 10000000000 + 1 is not 10000000000; an exact value needs no "
        "tolerance.": (EQUAL, "abs(values[sign]() - number(right)) <= abs(number(right)) / 10**9"),
        "it compares with a tolerance. 1/3 is not .3333333333333333, though the nearest float is "
        "the same.": (EQUAL, "abs(values[sign]() - number(right)) < 1e-9"),
    },
)  # fmt: skip
def step_holds(step: str) -> bool:
    """Exercise 3 of 01: is the left side of a step exactly its right side?"""

    def number(text: str) -> Fraction:
        value = Fraction(text.replace(",", "").rstrip("%"))
        return value / 100 if text.endswith("%") else value

    left, right = step.removeprefix("<<").removesuffix(">>").split("=")
    sign = next(mark for mark in "+-*/" if mark in left)
    a, b = map(number, left.split(sign))
    values = {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b}
    return values[sign]() == number(right)


# --- exercise 4 -----------------------------------------------------------------------------------

#: A graph that is being made: labels and depths of its nodes.
LABELS = [1, 2, 0, 1, 2, 3, 1, 0, 3, 1, 2, 1]
DEPTHS = [0, 0, 0, 1, 1, 1, 2, 0, 2, 1, 1, 3]
#: How many parents were drawn, and the number that chooses the groups.
DRAWS = (
    *((2, 0.2), (1, 0.2), (3, 0.1), (2, 0.5), (3, 0.6), (2, 0.65), (2, 0.35), (3, 0.7)),
    *((2, 0.9), (3, 0.8), (50, 0.3), (0, 0.2), (0, 0.9)),
)
WEIGHT, COUNT = "depths[node] * 1.5 + 1", "min(count, len(candidates))"
JOIN, DEEPEN = "label |= labels[parent]", "1 + min(depths[parent] for parent in parents)"


def asked_and_returned(function: Function, count: int, r: float) -> dict[str, Any]:
    """What is asked of the random choice, which takes the last candidates, and what is returned."""
    asked: list[tuple[dict[int, float], int]] = []

    def sample(candidates: Any, weights: Any, wanted: int) -> list[int]:
        if asked or len(set(candidates)) != len(candidates) or len(candidates) != len(weights):
            raise CheckFailed(
                "add_node: sample should be called once, with all candidates, each once, and one "
                f"weight for each. Call {len(asked) + 1}: {len(candidates)} candidates, "
                f"{len(weights)} weights."
            )
        asked.append((dict(zip(candidates, weights, strict=True)), wanted))
        return sorted(candidates)[max(len(candidates) - wanted, 0) :]

    parents, label, depth = function(list(LABELS), list(DEPTHS), count, r, sample)
    returned = {"parents": parents, "label": label, "depth": depth}
    if not count:
        return returned
    if not asked:
        raise CheckFailed(f"add_node: {count} parents were drawn, but sample was not called.")
    (weights, wanted), wish = asked[0], {n: depth * 1.5 + 1 for n, depth in enumerate(DEPTHS)}
    scale = sum(wish[node] for node in weights) / (
        sum(weights.values()) or 1
    )  # only their ratios matter
    return {
        "the set of candidates": set(weights),
        "the list of weights": [float(weights[node]) * scale for node in sorted(weights)],
        "the number asked of sample": wanted,
        **returned,
    }


@exercise(
    cases=lambda: DRAWS,
    observe=asked_and_returned,
    returns="parents, label, depth",
    says="candidates by side, weights by depth, labels joined, depths counted",
    shown=lambda count, r: f" with count={count}, r={r}",
    mistakes={
        "r = 0.35 and r = 0.7 belong to the group before them: compare with <=.": ("<=", "<"),
        "nodes with label 0 are missing from the candidates. They are below neither entity, so "
        "they may be parents on both sides.": (("(0, 1)", "(1,)"), ("(0, 2)", "(2,)")),
        "nodes with label 3 are candidates for every r. A child of theirs is below both entities; "
        "up to r = 0.7 only groups 0 and 1, or 0 and 2, may be parents.": (
            ("(0, 1)", "(0, 1, 3)"), ("(0, 2)", "(0, 2, 3)")),
        "candidates are chosen with `label & 1` or `label & 2`, which lets label 3 in and leaves "
        "label 0 out. Ask for label 0 or 1, label 0 or 2.": (
            ("(0, 1)", "(1, 3)"), ("(0, 2)", "(2, 3)")),
        "the two sides are swapped: up to r = 0.35 the groups are 0 and 1, up to 0.7 they are 0 "
        "and 2.": (("(0, 1) ", "(0, 4) "), ("(0, 2) ", "(0, 1) "), ("(0, 4) ", "(0, 2) ")),
        "all nodes are candidates for every r. Then nearly every node ends up below both entities; "
        "r says which side a node is on.": (" if label in groups", ""),
        "above r = 0.7 every node is a candidate, those with label 3 too.": (
            "(0, 1, 2, 3)", "(0, 1, 2)"),
        "above r = 0.7 every node is a candidate, not only those of one side.": (
            "(0, 1, 2, 3)", "(0, 2)"),
        "the weights are uniform. Deeper nodes are preferred: depth · 1.5 + 1. Without that, long "
        "paths are rare.": (WEIGHT, "1.0"),
        "the factor 1.5 is missing from the weights: depth · 1.5 + 1.": (" * 1.5", ""),
        "the + 1 is missing from the weights. A node of depth 0 would have weight 0 and never get "
        "a child.": (WEIGHT, "depths[node] * 1.5"),
        "the weights are upside down: deeper nodes get more.": (WEIGHT, f"1 / ({WEIGHT})"),
        "more parents were drawn than there are candidates. Ask for as many as there are: "
        "min(count, len(candidates)).": (COUNT, "count"),
        "2 parents were drawn, but sample was asked for 1.": (COUNT, "min(count, 1)"),
        "sample returns nodes, not their places among the candidates.": (
            f"sample(candidates, weights, {COUNT})",
            f"[candidates[i] for i in sample(candidates, weights, {COUNT})]"),
        "the label is the AND of the parents' labels. A node is below an entity if *any* of its "
        "parents is: OR.": (("label = 0", "label = 3 if parents else 0"), ("|=", "&=")),
        "the label is the sum of the parents' labels: two parents with label 1 give 1, not 2. Join "
        "the bits with OR.": ("|=", "+="),
        "the label is the XOR of the parents' labels: two parents with label 1 cancel out. Join "
        "the bits with OR.": ("|=", "^="),
        "the label is the largest of the parents' labels: parents with 1 and 2 give 3, not 2. Join "
        "the bits with OR.": (JOIN, "label = max(label, labels[parent])"),
        "only one parent's label is looked at, the first. Join the labels of all with OR.": (
            JOIN, "label = labels[parents[0]]"),
        "only one parent's label is looked at, the last. Join the labels of all with OR.": (
            "|=", "="),
        "a node without parents should have label 0: it is below neither of the two entities.": (
            "label = 0", "label = 0 if parents else 1"),
        "the depth is that of the parent. A child is one hop deeper.": ("1 + min", "min"),
        "the depth is counted along the longest way. It is the hops from the *nearest* parentless "
        "node: 1 + the smallest depth of the parents.": ("min(depths", "max(depths"),
        "only one parent's depth is looked at. Take the smallest of all.": (
            DEEPEN, "1 + depths[parents[0]]"),
        "a node without parents should have depth 0.": ("parents else 0", "parents else 1"),
        "a node may have no parents, and min of nothing raises ValueError. Its depth is 0.": (
            " if parents else 0", ""),
    },
)  # fmt: skip
def add_node(
    labels: list[int], depths: list[int], count: int, r: float, sample: Function
) -> tuple[list[int], int, int]:
    """Exercise 4 of 01: the parents of a new node, its label and its depth."""
    groups = (0, 1) if r <= 0.35 else (0, 2) if r <= 0.7 else (0, 1, 2, 3)
    candidates = [node for node, label in enumerate(labels) if label in groups]
    weights = [depths[node] * 1.5 + 1 for node in candidates]
    parents = sample(candidates, weights, min(count, len(candidates)))
    label = 0
    for parent in parents:
        label |= labels[parent]
    depth = 1 + min(depths[parent] for parent in parents) if parents else 0
    return parents, label, depth


# --- exercise 5 -----------------------------------------------------------------------------------


@cache
def statements() -> list[Statement]:
    """What the questions say, those with a tie last: they alone may get None as an answer."""
    problems = [*generate_prosqa(60, 5), *generate_prosqa(40, 6, "small")]
    found = [read_statement(problem.question) for problem in problems]
    return sorted(found, key=lambda statement: farther_option.right(statement) == "tie")


def ways(facts: Iterable[tuple[str, str]], starts: Iterable[str], option: str) -> list[int]:
    """The hops to an option from every start that leads to it."""
    return [hops[option] for start in starts if option in (hops := hops_from(facts, start))]


def all_ways(statement: Statement) -> dict[str, list[int]]:
    """The hops to both options from every parentless node."""
    roots = {a for a, _ in statement.facts} - {b for _, b in statement.facts}
    return {option: ways(statement.facts, roots, option) for option in statement.options}


def longest_way(facts: Iterable[tuple[str, str]], node: str) -> int:
    """The hops of the longest way down to a node."""
    return max((longest_way(facts, a) + 1 for a, b in facts if b == node), default=0)


ROOTS, NEAREST = "parents - children", "min(ways(statement.facts, roots, option))"


@exercise(
    cases=lambda: [(statement,) for statement in statements()],
    returns="the option",
    says="right in {} problems, of which 65 are ties",
    shown=lambda statement: f" where the options have the hops {all_ways(statement)}",
    mistakes={
        "it measures from who is asked about and takes the option that can be reached. That solves "
        "the task; a shortcut never reads who is asked. Measure from every parentless node.": (
            (ROOTS, "{statement.asked}"), ("option))", "option), default=-1)")),
        "it measures from who is asked about, so the option out of reach counts as farther. A "
        "shortcut never reads who is asked. Measure from every parentless node.": (
            (ROOTS, "{statement.asked}"), ("option))", "option), default=10**6)")),
        "it measures from who is asked about, who does not lead to both options. A shortcut never "
        "reads who is asked. Measure from every parentless node.": (
            NEAREST, "hops_from(statement.facts, statement.asked)[option]"),
        "it takes the nearer option. The rule is: the farther one.": (
            "first] > distance", "first] < distance"),
        "it measures from the farthest parentless node. The distance of an option is that from the "
        "*nearest* one: the smallest number of hops.": ("min(", "max("),
        "it takes the mean over the parentless nodes. The distance of an option is that from the "
        "nearest one.": (NEAREST, "sum(far := ways(statement.facts, roots, option)) / len(far)"),
        "it counts the longest way down to an option. A distance is the smallest number of hops.": (
            NEAREST, "longest_way(statement.facts, option)"),
        "on a tie it takes the first option. Say 'tie' there, or the order of the options gets "
        "into your measurement.": ('"tie"', "first"),
        "on a tie it takes the second option. Say 'tie' there, or the order of the options gets "
        "into your measurement.": ('"tie"', "second"),
        "on a tie it should return 'tie', not None.": ('"tie"', "None"),
        "it always says 'tie'. Does it start from every name? Then every option is 0 hops away; "
        "start from those that are no fact's second name.": (ROOTS, "parents | children"),
    },
)  # fmt: skip
def farther_option(statement: Statement) -> str:
    """Exercise 5 of 01: the option farther from any parentless node, or "tie"."""
    parents = {parent for parent, child in statement.facts}
    children = {child for parent, child in statement.facts}
    roots = parents - children
    distance = {option: min(ways(statement.facts, roots, option)) for option in statement.options}
    first, second = statement.options
    if distance[first] == distance[second]:
        return "tie"
    return first if distance[first] > distance[second] else second

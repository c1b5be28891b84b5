"""The exercises of notebook 01 on texts: which inputs are latent, chains, exact arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise

import networkx as nx

from coconut_lab.checks.engine import exercise

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
        "<bot> or <eot> does not get a hidden state. Both are tokens like any other, and their "
        "embeddings go in; what comes out of <bot> is the first thought.": [
            (IS_THOUGHT, 'token in ("<bot>", "<thought>")'),
            (IS_THOUGHT, 'token in ("<thought>", "<eot>")'),
            (IS_THOUGHT, 'token in ("<bot>", "<thought>", "<eot>")')],
        "every placeholder gets a hidden state; the first one gets that of <bot>.": [
            (IS_THOUGHT, 'token == tokens[at - 1] == "<thought>"'),
            (IS_THOUGHT, 'token == "<thought>" != tokens[at - 1]')],
        "off by one: it is the position right before the placeholder. Its own hidden state comes "
        "out only after something went in.": [("at - 1", "at"), ("at - 1", "at - 2")],
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
        "the first edge is not checked. The first step leads from who is asked about, here Tom, to "
        "numpus, and no fact says that Tom is a numpus.": ("pairwise(chain)", "pairwise(steps)"),
        "not every edge is checked. All of them have to be stated, not only the ends, or one.": [
            ("pairwise(chain)", "pairwise(chain[:-1])"),
            (f"all({STATED} for edge in pairwise(chain))", "chain[:2] in facts"),
            (f" and all({STATED} for edge in pairwise(chain))", ""), ("all(", "any(")],
        "a step that no fact states is passed over. The chain does not hold then.": (
            "return chain[-1]", "for step in steps:\n        if (asked, step) in facts:\n"
            "            asked = step\n    return asked == answer\n    return chain[-1]"),
        "it says True for Tom → lempus, a chain that jumps over hops. That lempus can be reached "
        "is not enough: each step is one stated fact.": (
            STATED, "edge[1] in hops_from(facts, edge[0])"),
        "it takes an edge in the wrong direction: rempus → dumpus, but the fact is that every "
        "dumpus is a rempus.": (STATED, "(edge in facts or edge[::-1] in facts)"),
        "the end is not checked: the chain ends at rempus, the answer is lempus. Without steps, it "
        "ends at who is asked about.": [
            (AT_END, "bool(steps)"), (f"{AT_END} and ", ""), (AT_END, f"(not steps or {AT_END})")],
        "the answer has to be the end of the chain, not just somewhere in it.": (
            AT_END, "answer in steps"),
        "the answer is looked for in a text, and lempus is a part of lempuster. It has to be the "
        "end of the chain.": (AT_END, "answer in ' '.join(steps)"),
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


STEPS = (
    "3*60=180 12-5=8 5-8=-3 2*3=-6 5*0=0 1,250*4=5,000 1,000,000/4=250000 .1+.2=.3 15%*80=1200 "
    "15%*80=12 6/50%=12 1/4=25% 7/2=3 10/3=3.33 10000000000+1=10000000000 1/3=.3333333333333333 "
    "1/3=.3333333333333333333333333333"
)
WITHOUT_COMMAS, EQUAL = 'text.replace(",", "")', "values[sign]() == number(right)"
WITH_PERCENT = 'value / 100 if text.endswith("%") else value'


@exercise(
    cases=lambda: [(f"<<{step}>>",) for step in STEPS.split()],
    returns="the result",
    says="recomputed exactly, with commas, percent, decimals and signs",
    mistakes={
        "it says True for <<12-5=8>>, which is 7.": (EQUAL, "True"),
        "a result may be negative: <<5-8=-3>> is right.": (
            EQUAL, f"right[0] != '-' and {EQUAL}"),
        "the sign of a negative result is taken for the operation. Look for the operation on the "
        "left of = only.": ("mark in left", "mark in step"),
        "all four operations are computed, a / b too, even where b is 0 in a product. Compute only "
        "the one that the step has.": (("lambda: ", ""), ("[sign]()", "[sign]")),
        "a comma is a thousands separator, on both sides: take the commas out before you make the "
        "fraction. 1,250 is 1250, and 1,000,000 is a million.": [
            (WITHOUT_COMMAS, 'text.split(",")[0]'), (WITHOUT_COMMAS, "text"),
            (WITHOUT_COMMAS, 'text.replace(",", ".", 1).replace(",", "")')],
        "floating point: 0.1 + 0.2 == 0.3 is False for floats, yet <<.1+.2=.3>> is right. Compute "
        "with Fraction, made from the text.": [
            ("Fraction(", "float("), (WITH_PERCENT, f"Fraction(float({WITH_PERCENT}))")],
        "Decimal rounds to 28 digits: 1/3 is not .3333333333333333333333333333. Compute with "
        "Fraction.": ("Fraction(", "__import__('decimal').Decimal("),
        "a percent sign is dropped: 15% is 15/100, so 15% * 80 is 12, not 1200. The result may "
        "carry one too: 1/4 is 25%.": [
            (WITH_PERCENT, "value"),
            ("number(right)", 'Fraction(right.replace(",", "").rstrip("%"))')],
        "a percentage belongs together: 6/50% is 6 / (50/100), not 6/50/100.": (
            "a / b", "a / b / (10000 if left[-1] == '%' else 1)"),
        "take the percent sign off before you make the fraction.": ('.rstrip("%")', ""),
        "the division is cut to a whole number: 7/2 is 3.5, not 3. Use / on fractions, not //.": (
            "a / b", "a // b"),
        "it compares rounded values: 10/3 is not 3.33. (The package counts this step as holding "
        "'as rounded'; here only exact steps hold.)": (
            EQUAL, "round(values[sign](), 2) == round(number(right), 2)"),
        "it compares with a tolerance. An exact value needs none: 10000000000 + 1 is not "
        "10000000000, and 1/3 is not .3333333333333333, though the nearest float is the same.": [
            (EQUAL, "abs(values[sign]() - number(right)) <= abs(number(right)) / 10**9"),
            (EQUAL, "abs(values[sign]() - number(right)) < 1e-9")],
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

"""The exercises of notebook 07: length of a test, paired test, verdict, chain; 04's interval."""

from __future__ import annotations

import math
import random
from typing import Any

from coconut_lab.checks.engine import CheckFailed, Function, exercise

MIDDLE = "share + z * z / (2 * total)"
ENDS = "return max(0.0, low), min(1.0, high)"


@exercise(
    cases=lambda: [(950, 1000), (18, 20), (5, 8), (987, 1000), (0, 12), (30, 30)],
    returns="low, high",
    says="{} intervals are right, also where none or all of the answers are",
    mistakes={
        "this is the normal approximation, p ± z·sqrt(p(1-p)/n). It leaves the range from 0 to 1, "
        "and at 30 of 30 right it has no width at all, as if 30 problems proved everything. Use "
        "Wilson's formula: its middle is pulled towards 1/2.": [
            (("z * z", "0"), (ENDS, "return low, high")), ("z * z", "0")],
        "for 95%, z = 1.96: 1.645 leaves 10% outside, 5% on each side; 1 is one standard error.": [
            ("1.96", "1.645"), ("1.96", "1")],
        "your interval is in percent. Give shares between 0 and 1.": (
            ENDS, "return 100 * low, 100 * high"),
        "the width is right, but your interval is centred on the share itself. Wilson's middle is "
        "nearer to one half: (p + z²/2n) / (1 + z²/n).": (MIDDLE, "share * shrink"),
        "the middle and the width are both divided by 1 + z²/n, each once.": [
            ("shrink = 1 + z * z / total", "shrink = 1"), (MIDDLE, f"shrink * ({MIDDLE})")],
        "the two ends are swapped: first the lower one.": (
            ENDS, "return min(1.0, high), max(0.0, low)"),
        "you return the middle and half of the width. Return the two ends.": (
            ENDS, "return middle / shrink, half / shrink"),
        "under the root is p(1-p)/n + z²/4n²: divided by n twice, not once, and not left out.": [
            ("(4 * total**2)", "(4 * total)"), ("+ z * z / (4 * total**2)", "")],
        "what is below the line needs parentheses: `/ 4 * n**2` multiplies by n².": [
            ("(4 * total**2)", "4 * total**2"), ("/ shrink", "/ 1 + z * z / total"),
            (("(4 * total**2)", "4 * total**2"), ("(2 * total)", "2 * total"))],
    },
)  # fmt: skip
def wilson(right: int, total: int) -> tuple[float, float]:
    """Exercise 2 of 04: the 95% Wilson interval of an accuracy."""
    z, share = 1.96, right / total
    shrink = 1 + z * z / total
    middle = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total**2))
    low, high = (middle - half) / shrink, (middle + half) / shrink
    return max(0.0, low), min(1.0, high)


VARIANCE = "accuracy * (1 - accuracy)"


@exercise(
    cases=lambda: [(0.97, 0.04), (0.5, 0.1), (0.8, 0.06), (1.0, 0.02), (0.0, 0.3), (0.97, 0.02)],
    returns="the number of problems",
    says="{} intervals are just narrow enough, also where every answer is right",
    mistakes={
        "this is the normal approximation. Where every answer is right it asks for one problem, as "
        "if one proved everything. Use Wilson's interval.": ("z * z", "0"),
        "`width` is the whole interval, from its lower to its upper end. You took half of it, the "
        "± beside an accuracy.": ("2 * z * root", "z * root"),
        "for 95%, z = 1.96: 1.645 leaves 10% outside, 5% on each side; 1 is one standard error.": [
            ("1.96", "1.645"), ("1.96", "1")],
        "this number is one too small: it gives the last interval that is still too wide.": (
            "return total", "return total - 1"),
        "the *smallest* number is asked for: try every one, not steps of ten or a hundred.": [
            ("total += 1", "total += 10"), ("total += 1", "total += 100")],
        "do not round to whole answers: at accuracy · n right of n, the width falls steadily.": (
            VARIANCE, "(x := round(accuracy * total) / total) * (1 - x)"),
        "Wilson's interval is divided by 1 + z²/n as a whole, its width as well.": (
            " / (1 + z * z / total)", ""),
        "under the root is p(1-p)/n + z²/4n²: divided by n twice, and not left out.": [
            ("(4 * total**2)", "(4 * total)"), (" + z * z / (4 * total**2)", "")],
    },
)  # fmt: skip
def problems_needed(accuracy: float, width: float) -> int:
    """Exercise 1: the fewest problems whose 95% Wilson interval is no wider than `width`."""
    z, total = 1.96, 1
    while True:
        root = math.sqrt(accuracy * (1 - accuracy) / total + z * z / (4 * total**2))
        if 2 * z * root / (1 + z * z / total) <= width:
            return total
        total += 1


PAIRS = ("11", "10", "01", "00")


def _outcomes(*counts: int) -> tuple[str, str]:
    """Two texts of outcomes: how many are right for both, the first, the second, neither."""
    pairs = [pair for pair, count in zip(PAIRS, counts, strict=True) for _ in range(count)]
    random.Random(2).shuffle(pairs)  # with 2, a text that sorts first is not always worse
    return "".join(pair[0] for pair in pairs), "".join(pair[1] for pair in pairs)


def _in_words(first: str, second: str, *comparisons: int) -> str:
    pairs = [one + other for one, other in zip(first, second, strict=True)]
    both, only_first, only_second, neither = map(pairs.count, PAIRS)
    among = f", comparisons={comparisons[0]}" if comparisons else ""
    return (
        f". (Tried with {both} right for both, {only_first} only for the first, {only_second} only "
        f"for the second, {neither} for neither{among})"
    )


def _unpaired(first: str, second: str) -> float:
    """The test of two shares, as if the problems had nothing to do with each other."""
    one, other = first.count("1") / len(first), second.count("1") / len(second)
    pooled = (one + other) / 2
    return math.erfc(abs(one - other) / math.sqrt(pooled * (1 - pooled) * 2 / len(first)) / 2**0.5)


TAIL = "sum(math.comb(n, k) for k in range(min(b, c) + 1)) / 2**n"
CHI_SQUARED = "math.erfc(max(0, abs(b - c) - 0) / math.sqrt(2 * max(1, n))) / 2"


@exercise(
    cases=lambda: [
        _outcomes(*counts)
        for counts in (
            (9, 7, 2, 6), (3, 1, 6, 12), (40, 12, 4, 4), (4, 3, 3, 5), (6, 0, 0, 4), (1, 5, 0, 2),
        )
    ],
    shown=_in_words,
    returns="the p-value",
    says="only the problems on which they differ count, on both sides, and p is at most 1",
    mistakes={
        "this is an unpaired test: it compares the two accuracies as if each model had answered "
        "problems of its own. Count, problem by problem, where they differ.": _unpaired,
        "problems on which both agree are counted among the coins. They say nothing about which "
        "model is better; n is only the number of problems on which the two differ.": (
            "n = b + c", "n = len(pairs)"),
        "the coins are the problems on which the two differ, 10 and 01: not those on which both "
        "agree, nor all right answers of each model.": [
            (('"10"', '"11"'), ('"01"', '"00"')),
            ('pairs.count("10"), pairs.count("01")', 'first.count("1"), second.count("1")')],
        "this is one-sided. Either model may be the better one: take the tail twice.": (
            "2 * tail", "tail"),
        "take the smaller of both counts, whichever model it is of: with the other one, p is large "
        "or even 1.": [("min(b, c)", "c"), ("min(b, c)", "b"), ("min(b, c)", "max(b, c)")],
        "a p-value above 1. Where the split is even, both tails hold the middle: cap the result at "
        "1.": ("min(1.0, 2 * tail)", "2 * tail"),
        "this is the probability of exactly this split. Add those that are more uneven, on both "
        "sides.": [
            ("range(min(b, c) + 1)", "[min(b, c)]"),
            ("min(1.0, 2 * tail)", "math.comb(n, b) / 2**n")],
        "the split itself is missing: range(k) ends at k - 1, and “at least as uneven” includes "
        "this one.": ("range(min(b, c) + 1)", "range(min(b, c))"),
        "this is the approximation by chi-squared, made for many differences, with or without its "
        "correction. The exact test adds up the coin tosses.": [
            (TAIL, CHI_SQUARED), (TAIL, CHI_SQUARED.replace("- 0", "- 1"))],
        "where the two never differ, p is 1: nothing speaks against the same model twice.": (
            "return ", "return n and "),
        "this is 1 - p. Small means: hardly to be had by luck.": ("return ", "return 1 - "),
    },
)  # fmt: skip
def mcnemar(first: str, second: str) -> float:
    """Exercise 2: the exact two-sided McNemar test of two texts of outcomes."""
    pairs = [one + other for one, other in zip(first, second, strict=True)]
    b, c = pairs.count("10"), pairs.count("01")
    n = b + c
    tail = sum(math.comb(n, k) for k in range(min(b, c) + 1)) / 2**n
    return min(1.0, 2 * tail)


def _verdict_of(function: Function, *case: Any) -> dict[str, str]:
    said = function(*case)
    if not isinstance(said, str) or said not in ("first", "second", "undecided"):
        equal = " Not to see a difference is not to see that there is none."
        raise CheckFailed(
            f'verdict should return "first", "second" or "undecided", not {said!r}.'
            + equal * (str(said) in ("same", "equal", "both", "neither", "none", "tie"))
        )
    return {"the verdict": str(said)}


def _overlap(first: str, second: str) -> bool:
    """Whether the intervals of two accuracies overlap."""
    ends = [wilson.right(text.count("1"), len(text)) for text in (first, second)]
    return max(low for low, _ in ends) <= min(high for _, high in ends)


CLEAR = "p < 0.05 / comparisons"
BETTER = 'first.count("1") > second.count("1")'


@exercise(
    cases=lambda: [
        (*_outcomes(*counts), comparisons)
        for counts, comparisons in (
            ((100, 14, 2, 84), 1),  # intervals overlap, and yet
            ((100, 2, 14, 84), 1),  # the better text is not the one that sorts last
            ((60, 9, 8, 23), 1),
            ((90, 12, 2, 20), 28),  # 0.05 / 28 is smaller than p
            ((90, 30, 4, 20), 28),
            ((40, 12, 0, 40), 1),  # p = 0.0005, smaller than 0.05 / 92
            ((50, 9, 1, 40), 1),  # p = 0.021, between 0.01 and 0.025
            ((50, 9, 1, 40), 3),  # ... and between 0.05 / 3 and 0.05 / 2
            ((50, 8, 2, 40), 28),  # p = 0.11, p / 28 = 0.004
            ((90, 18, 3, 20), 28),  # p = 0.0015, smaller than 0.05 / 29
            ((50, 7, 1, 40), 1),  # p = 0.07 two-sided, 0.035 one-sided
            ((50, 8, 1, 40), 1),  # p = 0.039, between 0.025 and 0.05
            ((90, 14, 2, 20), 12),  # p = 0.00418; 0.05 / 12 = 0.00417, Šidák 0.00427
            ((80, 2, 13, 40), 6),  # p = 0.0074; 0.05 / 6 = 0.0083, 0.05 / 7 = 0.0071
            ((30, 25, 10, 35), 1),  # intervals overlap, and an unpaired test is clear as well
            ((50, 0, 0, 50), 3),
        )
    ],
    observe=_verdict_of,
    shown=_in_words,
    returns="the verdict",
    says="pairs are used, the number of comparisons counts, and it may stay undecided",
    mistakes={
        "their two intervals overlap, and yet the pairs are clear: both models find the same "
        "problems hard. Use the paired test.": (CLEAR, "not _overlap(first, second)"),
        "this is an unpaired test, as if each model had answered different problems. Use the "
        "paired test.": (CLEAR, "_unpaired(first, second) < 0.05 / comparisons"),
        "the direction is wrong: the better one is right on more problems.": (
            BETTER, BETTER.replace(">", "<")),
        "you compare the texts of outcomes, which goes by the first problem on which they differ. "
        "The better one is right on more problems: count.": (BETTER, "first > second"),
        "p is below 0.05, but many comparisons are made: by luck alone, one of twenty falls below "
        "it. Ask for p < 0.05 / comparisons.": (CLEAR, "p < 0.05"),
        "the accuracies differ, but so they would by luck. Ask for a small p.": (
            CLEAR, BETTER.replace(">", "!=")),
        "half of this p is below 0.05: the test is two-sided.": ("p <", "p / 2 <"),
        "you halve 0.05, or take 0.01. The level is 0.05, and your p has both sides already: ask "
        "for p < 0.05 / comparisons.": [("0.05", "0.025"), ("0.05", "0.01")],
        "this is Šidák's correction, 1 - 0.95^(1/m), which is a little less strict. Bonferroni's "
        "is 0.05 / m.": ("0.05 / comparisons", "1 - 0.95 ** (1 / comparisons)"),
        "you divide by comparisons - 1 or by comparisons + 1. All count, this one is among them.": [
            ("/ comparisons", "/ max(1, comparisons - 1)"),
            ("/ comparisons", "/ (comparisons + 1)")],
        "you count the pairs of `comparisons` models. `comparisons` is how many comparisons are "
        "made: divide by it.": ("/ comparisons", "/ max(1, math.comb(comparisons, 2))"),
        "you divide by the number of problems. Divide by the number of comparisons.": (
            "/ comparisons", "/ len(first)"),
        "you divide p by the number of comparisons, which makes it smaller. Divide 0.05, or "
        "multiply p.": (CLEAR, "p / comparisons < 0.05"),
    },
)  # fmt: skip
def verdict(first: str, second: str, comparisons: int) -> str:
    """Exercise 3: which of two models is better, if the data can tell."""
    p = mcnemar.right(first, second)
    better = "first" if first.count("1") > second.count("1") else "second"
    return better if p < 0.05 / comparisons else "undecided"


def _longest_run(columns: str, layers: int, layer: int) -> int:
    """As if a pause token cut the chain."""
    return max(longest_chain.right(part, layers, layer) for part in columns.split("p"))


THOUGHTS, WORDS = 'layer * columns.count("t")', 'layers * columns.count("w")'


@exercise(
    cases=lambda: [
        ("ttt", 4, 4), ("ppp", 4, 4), ("www", 3, 3), ("", 3, 2), ("tpt", 4, 2), ("tw", 3, 1),
        ("pwtpt", 5, 3), ("wwt", 4, 2), ("ptp", 2, 1),
    ],
    returns="the chain",
    says="what goes in again lengthens the chain by the layers it has been through, and no other",
    mistakes={
        "a thought is taken after layer `layer`: so many layers has it been through, not all.": (
            THOUGHTS, THOUGHTS.replace("layer ", "layers ")),
        "a word is chosen from what comes out of the last layer, wherever thoughts are taken.": (
            WORDS, WORDS.replace("layers", "layer")),
        "a pause token is the same vector whatever the question says. Nothing is recycled, so all "
        "columns go through the layers side by side, in one pass.": [
            (THOUGHTS, f'{THOUGHTS} + layers * columns.count("p")'),
            (THOUGHTS, f'{THOUGHTS} + layer * columns.count("p")'),
            (THOUGHTS, f'{THOUGHTS} + columns.count("p")')],
        "a pause token does not cut the chain: its column reads the earlier ones, in every layer.":
            _longest_run,
        "after the last column the answer still goes through all the layers.": (
            "return layers + ", "return "),
        "the chain grows with each thought and with each written word. Either was computed from "
        "the question and goes in at the bottom again.": [
            (THOUGHTS, "0"), (WORDS, "0"), ((THOUGHTS, "0"), (WORDS, "0"))],
        "a thought or a written word is not one layer more: it has been through several.": [
            ((THOUGHTS, 'columns.count("t")'), (WORDS, 'columns.count("w")')),
            ((THOUGHTS, "len(columns)"), (WORDS, "0"))],
        "these are the passes. Count the layers that each of them adds.": (
            ("return layers", "return 1"), (THOUGHTS, 'columns.count("t")'),
            (WORDS, 'columns.count("w")')),
    },
)  # fmt: skip
def longest_chain(columns: str, layers: int, layer: int) -> int:
    """Exercise 4: how many layers can work one after another before the answer."""
    return layers + layer * columns.count("t") + layers * columns.count("w")

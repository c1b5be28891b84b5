"""Typical mistakes in 07."""

from __future__ import annotations

import math

from planted_mistakes.table import planted

# --- exercise 1: wilson_interval ------------------------------------------------------------------


def wilson(right, total, z=1.959963984540054):
    share, grown = right / total, 1 + z * z / total
    middle = (share + z * z / (2 * total)) / grown
    half = z / grown * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return middle, half


@planted("wilson_interval", "normal approximation, p ±")
def interval_by_the_normal_approximation(right, total):
    share = right / total
    half = 1.96 * math.sqrt(share * (1 - share) / total)
    return share - half, share + half


@planted("wilson_interval", "only its ends are hidden")
def interval_cut_at_zero_and_one(right, total):
    low, high = interval_by_the_normal_approximation(right, total)
    return max(0.0, low), min(1.0, high)


@planted("wilson_interval", "z is 1.645")
def interval_of_one_side(right, total):
    middle, half = wilson(right, total, 1.645)
    return middle - half, middle + half


@planted("wilson_interval", "are per cent")
def interval_in_per_cent(right, total):
    middle, half = wilson(right, total)
    return 100 * (middle - half), 100 * (middle + half)


@planted("wilson_interval", "stands around the share itself")
def interval_around_the_share(right, total):
    _, half = wilson(right, total)
    return right / total - half, right / total + half


@planted("wilson_interval", "ends are swapped")
def interval_from_high_to_low(right, total):
    middle, half = wilson(right, total)
    return middle + half, middle - half


@planted("wilson_interval", "divided by 4n²")
def interval_with_a_power_missing(right, total):
    z, share = 1.96, right / total
    half = z * math.sqrt(share * (1 - share) / total + z**2 / (4 * total)) / (1 + z**2 / total)
    middle, _ = wilson(right, total)
    return middle - half, middle + half


# --- exercise 2: mcnemar --------------------------------------------------------------------------


def splits(first, second):
    pairs = [a + b for a, b in zip(first, second, strict=True)]
    return pairs.count("10"), pairs.count("01")


def coin_tail(heads, tosses):
    return sum(math.comb(tosses, k) for k in range(heads + 1)) / 2**tosses


@planted("mcnemar", "unpaired test")
def test_without_pairs(first, second):
    n, a, b = len(first), first.count("1") / len(first), second.count("1") / len(second)
    mean = (a + b) / 2
    return math.erfc(abs(a - b) / math.sqrt(mean * (1 - mean) * 2 / n) / math.sqrt(2))


@planted("mcnemar", "both agree are counted")
def test_with_all_problems(first, second):
    return min(1.0, 2 * coin_tail(min(splits(first, second)), len(first)))


@planted("mcnemar", "one-sided")
def test_of_one_side(first, second):
    return coin_tail(min(splits(first, second)), sum(splits(first, second)))


@planted("mcnemar", "a p-value above 1")
def test_without_a_cap(first, second):
    return 2 * test_of_one_side(first, second)


@planted("mcnemar", "takes the second model's count")
def test_of_the_second_count(first, second):
    return min(1.0, 2 * coin_tail(splits(first, second)[1], sum(splits(first, second))))


@planted("mcnemar", "exactly this split")
def test_of_one_split(first, second):
    fewer, differ = min(splits(first, second)), sum(splits(first, second))
    return min(1.0, 2 * math.comb(differ, fewer) / 2**differ)


@planted("mcnemar", "approximation by chi-squared, made")
def test_by_chi_squared(first, second):
    a, b = splits(first, second)
    return math.erfc(math.sqrt((a - b) ** 2 / (a + b) / 2))


@planted("mcnemar", "chi-squared with a correction")
def test_by_corrected_chi_squared(first, second):
    a, b = splits(first, second)
    return math.erfc(math.sqrt(max(0, abs(a - b) - 1) ** 2 / (a + b) / 2))


# --- exercise 4: longest_chain --------------------------------------------------------------------


@planted("longest_chain", "output of all layers")
def chain_without_thoughts(method, layers, thoughts, steps):
    return layers * (steps + 1) if method == "cot" else layers


@planted("longest_chain", "not one layer more")
def chain_with_one_layer_per_thought(method, layers, thoughts, steps):
    return layers + {"coconut": thoughts, "cot": steps}.get(method, 0)


@planted("longest_chain", "The last pass is missing")
def chain_without_the_last_pass(method, layers, thoughts, steps):
    return layers * {"coconut": thoughts, "cot": steps}.get(method, 1)


@planted("longest_chain", "These are the passes")
def chain_in_passes(method, layers, thoughts, steps):
    return {"coconut": thoughts, "cot": steps}.get(method, 0) + 1


@planted("longest_chain", "A pause token is the same vector")
def chain_through_pauses(method, layers, thoughts, steps):
    return layers * (1 + {"cot": steps, "no_cot": 0}.get(method, thoughts))


@planted("longest_chain", "a word instead of a vector")
def chain_not_through_words(method, layers, thoughts, steps):
    return layers * (1 + {"coconut": thoughts}.get(method, 0))


@planted("longest_chain", "Here the answer follows the question")
def chain_whatever_the_method(method, layers, thoughts, steps):
    if method == "pause_as_thought":
        return layers
    return layers * (1 + {"cot": steps}.get(method, thoughts))


# --- exercise 3: verdict --------------------------------------------------------------------------


def exact_p(first, second):
    return min(1.0, test_without_a_cap(first, second))


def better(first, second):
    a, b = splits(first, second)
    return "first" if a > b else "second"


@planted("verdict", "intervals overlap, and yet")
def verdict_by_overlap(first, second, comparisons):
    (middle, half), (other, rest) = (wilson(s.count("1"), len(s)) for s in (first, second))
    return "undecided" if abs(middle - other) < half + rest else better(first, second)


@planted("verdict", "one of twenty falls below")
def verdict_of_one_among_many(first, second, comparisons):
    return better(first, second) if exact_p(first, second) < 0.05 else "undecided"


@planted("verdict", "so they would by luck")
def verdict_by_the_accuracies(first, second, comparisons):
    a, b = splits(first, second)
    return "undecided" if a == b else better(first, second)


@planted("verdict", "the test is two-sided")
def verdict_of_one_side(first, second, comparisons):
    p = test_of_one_side(first, second)
    return better(first, second) if p < 0.05 / comparisons else "undecided"


@planted("verdict", "Not to see a difference")
def verdict_that_they_are_equal(first, second, comparisons):
    clear = exact_p(first, second) < 0.05 / comparisons
    return better(first, second) if clear else "equal"


@planted("verdict", "The direction is wrong")
def verdict_the_wrong_way_round(first, second, comparisons):
    clear = exact_p(first, second) < 0.05 / comparisons
    return better(second, first) if clear else "undecided"

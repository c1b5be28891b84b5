"""The engine of the checks: which mistake is blamed, what is compared, what a learner reads."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from coconut_lab.checks.engine import CheckFailed, Exercise, Function, exercise
from coconut_lab.checks.values import difference, plain, same, type_fault


@exercise(
    cases=lambda: [([1, 2], 3), ([4], 2), ([], 5)],
    returns="the total, count",
    says="right in {} cases",
    shown=lambda numbers, factor: f" for {numbers} times {factor}",
    limits=lambda got, want: None if got["count"] == want["count"] else "unreachable",
    mistakes={
        "you forget the factor.": ("factor * sum", "sum"),
        "you add the factor to every number.": lambda n, factor: (sum(n) + factor * len(n), len(n)),
        "the largest number is not the sum.": (("sum", "max"),),
        "two changes at once.": (("factor * ", ""), ("len(numbers)", "len(numbers) + 1")),
    },
)
def scaled(numbers: list[int], factor: int) -> tuple[int, int]:
    """The sum of some numbers, times a factor, and how many there are."""
    return factor * sum(numbers), len(numbers)


def failure(check: Exercise, function: Any) -> str:
    with pytest.raises(CheckFailed) as caught:
        check(function)
    return str(caught.value)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda n, f: (sum(n), len(n)), "scaled: you forget the factor."),
        (lambda n, f: (sum(n), len(n) + 1), "scaled: two changes at once."),
        (lambda n, f: (sum(n) + f * len(n), len(n)), "scaled: you add the factor"),
        (lambda n, f: (sum(n) if n != [] else 1, len(n)), "scaled: you forget the factor."),
        (lambda n, f: (sum(n), -1), "scaled: you forget the factor."),
        (lambda n, f: (7, len(n)), "the total is 7, it should be 9 for [1, 2] times 3."),
        (lambda n, f: (f * sum(n), 2), "count is 2, it should be 1 (the total: right) for [4]"),
        (lambda n, f: (f * max(n), len(n)), "scaled: the largest number is not the sum."),
        (lambda n, f: (f * sum(n) / max(n, default=0), 0), "scaled: the total should be a whole"),
        (lambda n, f: sum(n), "scaled should return (the total, count), not int (3)."),
        (lambda n, f: None, "it returns None. Does it end in `return`?"),
        (lambda n, f: (f * sum(n), len(n)) if n else None, "should return (the total, count)"),
    ],
)
def test_the_mistake_that_explains_most_is_blamed(function: Function, message: str) -> None:
    assert message in failure(scaled, function)


def test_an_exception_is_named_as_a_result_is_and_shown_with_its_line() -> None:
    def largest(numbers, factor):
        return factor * sum(numbers) if max(numbers) > 0 else 0, len(numbers)

    message = failure(scaled, largest)
    assert message.startswith("scaled raised ValueError: max()")
    assert "if max(numbers) > 0" in message and "largest number" not in message


def inverse(x: float) -> float:
    """One through x; 0 of 0."""
    return 1 / x if x else 0.0


inverses = exercise(
    cases=lambda: [(2.0,), (0.0,)],
    returns="y",
    says="",
    mistakes={"0 has no inverse.": (" if x else 0.0", ""), "x it is.": ("1 / x", "x")},
)(inverse)


def crashes(x: float) -> float:
    return 1 // 0


def test_the_same_exception_after_the_same_results_is_blamed() -> None:
    assert failure(inverses, lambda x: 1 / x).endswith("\n0 has no inverse.")
    assert failure(inverses, crashes).endswith(
        "return 1 // 0"
    )  # in the first case: says too little


def test_inputs_that_were_changed_do_not_make_a_wrong_function_right() -> None:
    def clears(numbers: list[int], factor: int) -> tuple[int, int]:
        total = (factor * sum(numbers), len(numbers) - 1)
        numbers.clear()
        return total

    assert "count is 1, it should be 2" in failure(scaled, clears)
    kept: list[int] = []

    def the_same_list(numbers: list[int], factor: int) -> list[int]:
        kept[:] = [factor * sum(numbers), len(numbers)]
        return kept

    scaled(the_same_list)


def test_a_check_passes_under_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    scaled(scaled.right)
    other = replace(scaled, name="other")
    other(scaled.right)
    lines = ["scaled passes: right in 3 cases.", "other passes: right in 3 cases."]
    assert capsys.readouterr().out.splitlines() == lines
    assert failure(other, 3).startswith("other: the check needs the function")
    assert scaled.__doc__ == scaled.right.__doc__


def test_a_change_has_to_find_what_it_changes() -> None:
    broken = exercise(cases=list, returns="y", says="", mistakes={"m": ("nowhere", "x")})(inverse)
    with pytest.raises(ValueError, match="there is no 'nowhere' to change"):
        _ = broken.wrong


def test_numbers_of_libraries_are_numbers() -> None:
    given = (np.int64(3), torch.tensor(2.5), np.bool_(True), [np.array([1, 2]), None])
    assert plain(given) == [3, 2.5, True, [[1, 2], None]]
    tensor = torch.zeros(2, requires_grad=True)
    copy = plain(tensor)
    assert copy is not tensor and not copy.requires_grad


@pytest.mark.parametrize(
    ("got", "want", "equal"),
    [
        (1, 1.0, True), (1.00001, 1.0, True), (1.001, 1.0, False), (True, 1, True), (1, True, True),
        ("1", 1, False), (None, 0, False), (math.nan, 1.0, False), ([1], [1, 2], False),
        ({"a": 1.0}, {"a": 1.0}, True), ({"b": 1.0}, {"a": 1.0}, False),
        (torch.zeros(2), torch.zeros(2).double(), True), (torch.zeros(2), torch.zeros(1, 2), False),
        (torch.zeros(2), 0, False),
    ],
)  # fmt: skip
def test_results_are_the_same_up_to_rounding(got: Any, want: Any, equal: bool) -> None:
    assert same(got, want) is equal


@pytest.mark.parametrize(
    ("got", "want", "fault"),
    [
        (1, True, None), (2, True, "True or False"), (1.0, 1, None), (1.5, 1, "a whole number"),
        (True, 1, "a whole number, not bool (True)"), (1, 1.5, None), ("a", 1.5, "a number"),
        (3, "a", "text"), (None, 3, None), (4, None, None), ([1, "a"], [1, 2], "entry 1 of"),
        (torch.zeros(2, 2), True, "not a tensor of shape (2, 2)"), ({}, {"a": 1}, "has no 'a'"),
        (torch.zeros(2), torch.zeros(2).long(), "they should be int64"),
    ],
)  # fmt: skip
def test_faults_of_type_are_said_in_words(got: Any, want: Any, fault: str | None) -> None:
    found = type_fault(got, want)
    assert found is None if fault is None else fault in str(found)


def test_a_difference_says_where_it_is() -> None:
    assert difference([1, 2.34567], [1, 3.0]) == "is wrong at entry 1: it is 2.346, it should be 3"
    assert difference([1], [1, 2]) == "has 1 entries, it should have 2"
    assert difference([0], [1, 2]).endswith(", and is wrong at entry 0: it is 0, it should be 1")
    shape = "has shape (2,), it should be (1, 2) = (B, T)"
    assert difference(torch.zeros(2), torch.zeros(1, 2), "(B, T)") == shape

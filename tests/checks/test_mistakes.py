"""Every mistake in the table of an exercise differs from the right function and is named by itself.

Over all exercises of `coconut_lab.checks`, so that an entry in a table is its own test.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from coconut_lab import checks
from coconut_lab.checks.engine import Exercise, compared
from coconut_lab.checks.values import same

EXERCISES = {n: one for n, one in vars(checks).items() if isinstance(one, Exercise)}
MISTAKES = [(name, at) for name, one in EXERCISES.items() for at in range(len(one.wrong))]


@cache
def right(name: str) -> list[Any]:
    return list(map(compared, EXERCISES[name].wanted()))


def comparable(results: list[Any]) -> list[Any]:
    return [repr(one) if isinstance(one, Exception) else one for one in results]


@pytest.mark.parametrize(("name", "at"), MISTAKES)
def test_a_mistake_is_told_from_what_is_right_and_from_the_others(name: str, at: int) -> None:
    messages, results = zip(*EXERCISES[name].tried, strict=True)
    wrong = comparable(results[at])
    assert not same(wrong, right(name)), messages[at]
    assert [i for i, other in enumerate(results) if same(wrong, comparable(other))] == [at]


@pytest.mark.parametrize("name", EXERCISES)
def test_a_check_names_a_mistake_and_passes_what_is_right(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exercise = EXERCISES[name]
    message, wrong = exercise.wrong[-1]
    with pytest.raises(checks.CheckFailed) as failure:
        exercise(wrong)
    assert str(failure.value).startswith(name) and str(failure.value).endswith(message)
    exercise(exercise.right)
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{name} passes: ") and printed.out.count("\n") == 1
    assert not printed.err


def test_every_exercise_knows_at_least_three_mistakes_and_says_what_is_asked() -> None:
    for name, one in EXERCISES.items():
        assert len(one.mistakes) >= 3 and one.__doc__, name

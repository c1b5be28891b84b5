"""What all tasks share: telling them apart, checking every step, auditing shortcuts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from published import GSM8K, PRONTOQA, PROSQA, needs_published

import coconut_lab
from coconut_lab.tasks.loading import load_problems
from coconut_lab.tasks.problems import Problem, ProblemError, verify
from coconut_lab.tasks.prontoqa import generate_prontoqa
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.tasks.verify import TASKS, Failure, shortcut_audit, task_of, verify_steps
from coconut_lab.tasks.word_problems import generate_arithmetic

MAKERS: dict[str, Callable[[int, int], list[Problem]]] = {
    "prosqa": generate_prosqa,
    "prontoqa": generate_prontoqa,
    "gsm8k": generate_arithmetic,
}


@needs_published
def test_steps_and_answers_of_the_published_files() -> None:
    for path, task, problems, steps, answers in (
        (PROSQA, "prosqa", 300, 1126, 0),
        (PRONTOQA, "prontoqa", 200, 1200, 0),
        (GSM8K, "gsm8k", 500, 1573, 28),
    ):
        loaded = load_problems(path)
        assert {task_of(one) for one in loaded} == {task}
        found = verify_steps(loaded)
        assert (found.problems, found.steps, found.holding) == (problems, steps, steps)
        assert (found.rounded, found.failures, len(found.answers)) == (0, (), answers)
        assert sum(len(one.steps) for one in loaded) == steps
    assert str(found) == "500 problems; 1573 of 1573 steps hold; 28 answers do not fit"
    assert [one.row for one in found.answers][:3] == [9, 15, 33]
    assert str(found.answers[2]) == (
        "row 33, answer '15': the answer is 15, but the last step results in 15.36"
    )
    with pytest.raises(ProblemError, match=r"row 9, answer '25': .* \(0 of 1573 steps and 28 of 5"):
        found.require()


@pytest.mark.parametrize("name", MAKERS)
@given(data=st.data())
def test_one_broken_step_is_named(name: str, data: st.DataObject) -> None:
    problems = MAKERS[name](4, data.draw(st.integers(0, 500)))
    row = data.draw(st.integers(0, 3))
    steps = list(problems[row].steps)
    place = data.draw(st.integers(0, len(steps) - 1))
    steps[place] = {"gsm8k": re.sub(r"=(\d+)", r"=\g<1>7", steps[place])}.get(name, "nonsense.")
    problems[row] = replace(problems[row], steps=tuple(steps))
    found = verify_steps(problems)
    first = found.failures[0]
    assert (first.row, first.step, first.text) == (row, place + 1, steps[place])
    assert {one.row for one in found.failures} == {row}
    assert found.holding == found.steps - len(found.failures)
    with pytest.raises(ProblemError, match=rf"row {row}, step {place + 1} "):
        found.require()


def test_steps_of_prosqa_are_judged_one_by_one() -> None:
    problem = Problem(
        "Tom is a yumpus. Every yumpus is a rempus. Max is a lempus. Is Tom a rempus or lempus?",
        ("Tom is a yumpus.", "Every lempus is a rempus.", "So.", "Every rempus is a tumpus."),
        "Tom is a rempus.",
        coconut_lab.Graph(("Tom", "Max", "yumpus", "rempus", "lempus"),
                          ((0, 2), (2, 3), (1, 4)), 0, 3, 4),
    )  # fmt: skip
    found = verify_steps([problem])
    assert [(one.step, one.reason) for one in found.failures] == [
        (2, "starts at lempus, but the chain is at yumpus"),
        (3, "is not of the form 'Every x is a y.': 'So.'"),
        (4, "uses the edge rempus → tumpus, which the question never states"),
    ]
    assert len(found.answers) == 1
    with pytest.raises(ProblemError, match=r"step 2 starts at lempus"):
        verify(problem)


def test_rounded_steps_and_mixed_tasks_are_counted() -> None:
    problems = [
        *generate_prosqa(1, 0),
        Problem("q", ("<<10/3=3.33>>", "<<1+1=3>>", "<<2+2=4>>"), "4"),
    ]
    found = verify_steps(problems)
    assert (found.problems, found.rounded, found.holding) == (2, 1, found.steps - 1)
    assert found.failures == (Failure(1, 2, "<<1+1=3>>", "1+1 is 2, not 3"),)
    assert f"{found.holding} of {found.steps} steps hold, 1 of them as rounded;" in str(found)
    assert verify_steps([]).problems == 0


def test_a_task_that_cannot_be_told() -> None:
    plain = Problem("Why?", ("Because.",), "So.")
    with pytest.raises(ProblemError, match=r"row 1: the task cannot be told.*'Why\?'"):
        verify_steps([*generate_prontoqa(1, 0), plain])
    with pytest.raises(ProblemError, match="problem 1: the task cannot be told"):
        shortcut_audit([*generate_prontoqa(1, 0), plain])
    with pytest.raises(ProblemError, match="row 0: fact 1 cannot be read"):
        verify_steps([Problem("Hm. True or false: Max is shy.", (), "True")])
    assert task_of(Problem("How many?", (), "3")) == "gsm8k"
    loose = verify_steps([Problem("How many?", ("1+2=3",), "3")])
    assert [str(one) for one in loose.failures] == [
        "row 0, step 1 '1+2=3': '1+2=3' is no equation; write <<3*60=180>>"
    ]


def test_one_audit_for_every_task() -> None:
    assert coconut_lab.shortcut_audit is shortcut_audit
    for task in TASKS:
        scores = shortcut_audit(MAKERS[task](30, 1))
        assert len(scores) > 5 and all(0 <= score <= 1 for score in scores.values())
    with pytest.raises(ProblemError, match="there are no problems"):
        shortcut_audit([])
    with pytest.raises(ProblemError, match="problem 1 is of gsm8k, those before it of prosqa"):
        shortcut_audit([*generate_prosqa(1, 0), *generate_arithmetic(1, 0)])

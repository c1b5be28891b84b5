"""What is the same for every task: what task a problem belongs to, whether its steps hold, what
shortcuts score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from coconut_lab.tasks import gsm8k, problems, prontoqa, shortcuts
from coconut_lab.tasks.problems import Problem, ProblemError


class Task(NamedTuple):
    """One row of the table of tasks; a fault says why a step or an answer does not hold."""

    name: str
    owns: Callable[[Problem], bool]
    step_faults: Callable[[Problem], list[str | None]]
    answer_fault: Callable[[Problem], str | None]
    shortcuts: Callable[[Iterable[Problem]], dict[str, float]]


TASKS = (
    Task(
        "prosqa",
        lambda problem: problem.graph is not None,
        problems.step_faults,
        problems.answer_fault,
        shortcuts.prosqa_shortcuts,
    ),
    Task(
        "prontoqa",
        prontoqa.is_prontoqa,
        prontoqa.step_faults,
        prontoqa.answer_fault,
        shortcuts.prontoqa_shortcuts,
    ),
    Task(
        "gsm8k",
        gsm8k.is_gsm8k,
        gsm8k.step_faults,
        gsm8k.answer_fault,
        shortcuts.gsm8k_shortcuts,
    ),
)


def task_of(problem: Problem) -> Task:
    """Tell the task of a problem by its graph, question or steps; ProblemError if it has none."""
    for task in TASKS:
        if task.owns(problem):
            return task
    raise ProblemError(
        "the task cannot be told: ProsQA has a graph, ProntoQA asks 'True or false:', GSM8K has "
        f"steps such as <<3*60=180>>; the question is {problem.question[:60]!r}"
    )


@dataclass(frozen=True)
class Failure:
    """One step or answer that does not hold.

    Attributes:
        row: index of the problem, from 0.
        step: number of the step, from 1; None for the answer.
        text: the step or the answer, as written.
        reason: why it fails.
    """

    row: int
    step: int | None
    text: str
    reason: str

    def __str__(self) -> str:
        where = "answer" if self.step is None else f"step {self.step}"
        return f"row {self.row}, {where} {self.text[:60]!r}: {self.reason}"


@dataclass(frozen=True)
class Verification:
    """What `verify_steps` found.

    Attributes:
        problems: number of problems.
        steps: number of their steps.
        holding: how many steps hold.
        rounded: how many of those hold only as rounded.
        failures: every step that fails, in order.
        answers: every answer that does not fit the steps or the stated facts, in order.
    """

    problems: int
    steps: int
    holding: int
    rounded: int
    failures: tuple[Failure, ...]
    answers: tuple[Failure, ...]

    def __str__(self) -> str:
        rounded = f", {self.rounded} of them as rounded" if self.rounded else ""
        return (
            f"{self.problems} problems; {self.holding} of {self.steps} steps hold{rounded}; "
            f"{len(self.answers)} answers do not fit"
        )

    def require(self) -> None:
        """Raise ProblemError if a step or an answer fails, naming the first and the number."""
        wrong = (*self.failures, *self.answers)
        if wrong:
            raise ProblemError(
                f"{wrong[0]} ({len(self.failures)} of {self.steps} steps and {len(self.answers)} "
                f"of {self.problems} answers fail; correct these rows or leave them out)"
            )


def verify_steps(problems: Iterable[Problem]) -> Verification:
    """Check every step and answer of problems of any task, and report instead of raising.

    ProsQA and ProntoQA: each step must follow from the stated facts. GSM8K: each equation is
    recomputed exactly, and the answer compared with the last result.

    Args:
        problems: problems of any tasks, also mixed.

    Returns:
        The counts, and each failure with row and reason.

    Raises:
        ProblemError: a question cannot be read, or the task cannot be told (with the row).
    """
    failures, answers = [], []
    rows = steps = rounded = 0
    for row, problem in enumerate(problems):
        rows, steps = row + 1, steps + len(problem.steps)
        try:
            task = task_of(problem)
            faults = task.step_faults(problem)
            wrong = task.answer_fault(problem)
        except ProblemError as error:
            raise ProblemError(f"row {row}: {error}") from None
        if task.name == "gsm8k":
            rounded += gsm8k.rounded_steps(problem)
        for place, (step, fault) in enumerate(zip(problem.steps, faults, strict=True), start=1):
            if fault:
                failures.append(Failure(row, place, step, fault))
        if wrong:
            answers.append(Failure(row, None, problem.answer, wrong))
    return Verification(
        rows, steps, steps - len(failures), rounded, tuple(failures), tuple(answers)
    )


def shortcut_audit(problems: Iterable[Problem]) -> dict[str, float]:
    """Measure what simple rules score that do no reasoning, for problems of any one task.

    Args:
        problems: problems of one task; 1,000 of them give ± 3%.

    Returns:
        Rule → accuracy between 0 and 1, the best rule first.

    Raises:
        ProblemError: there are no problems, they are of different tasks, or the task cannot be
            told (with the index).
    """
    problems = list(problems)
    first = None
    for row, problem in enumerate(problems):
        try:
            task = task_of(problem)
        except ProblemError as error:
            raise ProblemError(f"problem {row}: {error}") from None
        first = first or task
        if task is not first:
            raise ProblemError(
                f"problem {row} is of {task.name}, those before it of {first.name}; "
                "audit one task at a time"
            )
    if first is None:
        raise ProblemError("there are no problems to audit")
    return first.shortcuts(problems)

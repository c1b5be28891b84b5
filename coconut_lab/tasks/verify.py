"""What is the same for every task: what task a problem belongs to, whether its steps hold, what
shortcuts score.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType

from coconut_lab.errors import checks_kinds
from coconut_lab.tasks import gsm8k, problems, prontoqa
from coconut_lab.tasks.arithmetic import number
from coconut_lab.tasks.notation import placed
from coconut_lab.tasks.problems import Problem, ProblemError
from coconut_lab.tasks.prontoqa_logic import ASK
from coconut_lab.tasks.shortcuts import SHORTCUTS

#: Each task with the module that finds the faults of its steps and answers.
TASKS: dict[str, ModuleType] = {"prosqa": problems, "prontoqa": prontoqa, "gsm8k": gsm8k}


def task_of(problem: Problem) -> str:
    """Tell the task of a problem by its graph, question or steps; ProblemError if it has none."""
    if problem.graph is not None:
        return "prosqa"
    if ASK in problem.question:
        return "prontoqa"
    bracketed = any(step.lstrip().startswith("<<") for step in problem.steps)
    if bracketed or number(problem.answer) is not None:
        return "gsm8k"
    raise ProblemError(
        "the task cannot be told: ProsQA has a graph, ProntoQA asks 'True or false:', GSM8K has "
        f"steps such as <<3*60=180>>; the question is {problem.question[:60]!r}"
    )


@dataclass(frozen=True)
class Failure:
    """One step or answer that does not hold."""

    row: int  # index of the problem, from 0
    step: int | None  # number of the step, from 1; None for the answer
    text: str  # the step or the answer, as written
    reason: str  # why it fails

    def __str__(self) -> str:
        where = "answer" if self.step is None else f"step {self.step}"
        return f"row {self.row}, {where} {self.text[:60]!r}: {self.reason}"


@dataclass(frozen=True)
class Verification:
    """What `verify_steps` found."""

    problems: int  # number of problems
    steps: int  # number of their steps
    holding: int  # how many steps hold
    rounded: int  # how many of those hold only as rounded
    failures: tuple[Failure, ...]  # every step that fails, in order
    answers: tuple[Failure, ...]  # every answer that fits neither steps nor stated facts

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


@checks_kinds(ProblemError)
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
        with placed(f"row {row}"):
            task = task_of(problem)
            faults = TASKS[task].step_faults(problem)
            wrong = TASKS[task].answer_fault(problem)
        if task == "gsm8k":
            rounded += gsm8k.rounded_steps(problem)
        for place, (step, fault) in enumerate(zip(problem.steps, faults, strict=True), start=1):
            if fault:
                failures.append(Failure(row, place, step, fault))
        if wrong:
            answers.append(Failure(row, None, problem.answer, wrong))
    return Verification(
        rows, steps, steps - len(failures), rounded, tuple(failures), tuple(answers)
    )


@checks_kinds(ProblemError)
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
    if not problems:
        raise ProblemError("there are no problems to audit")
    tasks = []
    for row, problem in enumerate(problems):
        with placed(f"problem {row}"):
            tasks.append(task_of(problem))
        if tasks[row] != tasks[0]:
            raise ProblemError(
                f"problem {row} is of {tasks[row]}, those before it of {tasks[0]}; "
                "audit one task at a time"
            )
    return SHORTCUTS[tasks[0]](problems)

"""GSM8K: reader and writer of iCoT's text format, and an exact check of every step.

A line of iCoT's format is `question||<<4-2=2>> <<2/.5=4>> #### 4`. Source of the augmented data:
Deng et al. (arXiv:2311.01460); Coconut trains on it with two thoughts for a step.

Of the 1,573 steps of the published validation file every one holds exactly; 6 of its 500 problems
have no step, and in 28 the answer is not the result of the last step.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from coconut_lab.errors import checks_kinds
from coconut_lab.tasks.arithmetic import number, read_equation, split_equation, write_number
from coconut_lab.tasks.json_files import check_problem, write_rows
from coconut_lab.tasks.notation import placed
from coconut_lab.tasks.problems import Problem, ProblemError

#: A longer line is a damaged file.
LONGEST_LINE = 1_000_000
FORMAT = "question||<<4-2=2>> <<2/.5=4>> #### 4"

_BRACKETS = re.compile(r"<<[^<>]*>>")


# --- reading and writing -----------------------------------------------------------------------


def problem_of(line: str) -> Problem:
    """Read one line of iCoT's text; the ProblemError says what is wrong with it."""
    line = line.removeprefix("\ufeff").strip()
    if len(line) > LONGEST_LINE:
        raise ProblemError(
            f"longer than {LONGEST_LINE:,} characters; one line is one problem, so the line ends "
            "are missing or the file is of another kind"
        )
    if "\n" in line or "\r" in line:
        raise ProblemError("a line end inside; end each line with a line feed, and only there")
    question, bars, rest = line.partition("||")
    if not bars:
        raise ProblemError(f"no || after the question; write {FORMAT}")
    chain, mark, answer = rest.partition("####")
    if not mark:
        raise ProblemError(f"no #### before the answer; write {FORMAT}")
    if line.count("||") + line.count("####") > 2:
        raise ProblemError(f"a second || or ####: a line end is missing; write {FORMAT}")
    between = _BRACKETS.sub(" ", chain).split()
    if between:
        raise ProblemError(f"{' '.join(between)[:60]!r} is no equation; write <<3*60=180>>")
    steps = tuple(_BRACKETS.findall(chain))
    for place, step in enumerate(steps, start=1):
        with placed(f"step {place}"):
            split_equation(step)
    problem = Problem(question.strip(), steps, answer.strip())
    check_problem(problem)
    return problem


@checks_kinds(ProblemError)
def write_gsm8k(problems: Iterable[Problem], path: str | os.PathLike[str]) -> None:
    """Write problems in iCoT's text format; otherwise as `write_json`."""
    write_rows(problems, path, _line_of, _text_of, problem_of)


def _line_of(problem: Problem) -> str:
    return f"{problem.question}||{' '.join(problem.steps)} #### {problem.answer}"


def _text_of(lines: list[str]) -> str:
    if not lines:
        raise ProblemError("there are no problems to write, and an empty file cannot be read")
    return "".join(f"{line}\n" for line in lines)


# --- checking ----------------------------------------------------------------------------------


def step_faults(problem: Problem) -> list[str | None]:
    """For each step why it does not hold, recomputed exactly, or None when it does."""
    return [_fault(step) for step in problem.steps]


def _fault(step: str) -> str | None:
    try:
        equation = read_equation(step)
    except ProblemError as error:
        return str(error)
    if equation.holds:
        return None
    return f"{equation.left} is {write_number(equation.value)}, not {equation.right}"


def rounded_steps(problem: Problem) -> int:
    """Count the steps that hold only as rounded."""
    return sum(_fault(step) is None and read_equation(step).rounded for step in problem.steps)


def answer_fault(problem: Problem) -> str | None:
    """Say why the answer is not the result of the last step, or None when it is.

    A problem without steps has nothing to compare with, so its answer only has to be a number.
    """
    answer = number(problem.answer)
    if answer is None:
        return f"the answer {problem.answer[:60]!r} is no number"
    if not problem.steps:
        return None
    try:
        result = number(split_equation(problem.steps[-1])[1])
    except ProblemError:
        result = None
    if result is None:
        return "the last step has no result to compare with the answer"
    if result == answer:
        return None
    return f"the answer is {problem.answer}, but the last step results in {write_number(result)}"

"""GSM8K: reader and writer of iCoT's text format, exact check of every step, shortcuts.

A line of iCoT's format is `question||<<4-2=2>> <<2/.5=4>> #### 4`. Source of the augmented data:
Deng et al. (arXiv:2311.01460); Coconut trains on it with two thoughts for a step.

Of the 1,573 steps of the published validation file every one holds exactly; 6 of its 500 problems
have no step, and in 28 the answer is not the result of the last step. The best rule that reads no
sentence, the most common answer, is right in 4.2% of it; the best one that uses the numbers of the
question, their product, in 2.2%.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import combinations
from math import prod
from statistics import fmean
from typing import BinaryIO

from coconut_lab.files import write_text
from coconut_lab.tasks.arithmetic import (
    number,
    numbers_in,
    read_equation,
    split_equation,
    write_number,
)
from coconut_lab.tasks.problems import Problem, ProblemError, check_texts
from coconut_lab.tasks.shortcuts import ranked

#: A longer line, in bytes, is a damaged file.
LONGEST_LINE = 1_000_000
FORMAT = "question||<<4-2=2>> <<2/.5=4>> #### 4"

_BRACKETS = re.compile(r"<<[^<>]*>>")


# --- reading and writing -----------------------------------------------------------------------


def read_gsm8k(path: str | os.PathLike[str], limit: int | None = None) -> list[Problem]:
    """Read a file in iCoT's text format, line by line.

    Args:
        path: the file, in UTF-8; empty lines are passed over.
        limit: stop after so many problems; what follows is not looked at.

    Returns:
        One problem per line; its steps are the equations with their `<<` and `>>`. All or none.

    Raises:
        ProblemError: the file cannot be read, or a line is not of the format, is not UTF-8, is
            longer than `LONGEST_LINE`, has no answer, or has a step that is no equation (with its
            row, from 0, and line).
    """
    problems: list[Problem] = []
    try:
        with open(path, "rb") as file:
            for line, raw in _lines(file):
                if limit is not None and len(problems) >= limit:
                    break
                try:
                    problem = _from_line(raw)
                except ProblemError as error:
                    where = f"row {len(problems)} (line {line})"
                    raise ProblemError(f"{path}: {where}: {error}") from None
                if problem:
                    problems.append(problem)
    except OSError as error:
        raise ProblemError(f"{path}: cannot be read: {error.strerror}") from error
    return problems


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines with their number, each cut just past the longest allowed."""
    number_of_line = 0
    while raw := file.readline(LONGEST_LINE + 1):
        number_of_line += 1
        yield number_of_line, raw


def _from_line(raw: bytes) -> Problem | None:
    if len(raw) > LONGEST_LINE:
        raise ProblemError(
            f"longer than {LONGEST_LINE:,} bytes; one line is one problem, so the line ends are "
            "missing or the file is of another kind"
        )
    try:
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise ProblemError(
            f"byte {error.start + 1} (0x{raw[error.start]:02x}) is not UTF-8; convert the file to "
            "UTF-8, all of it from the same encoding"
        ) from None
    if "\0" in text:
        raise ProblemError("holds a null character; the file is not UTF-8 text, convert it")
    if not text:
        return None
    question, bars, rest = text.partition("||")
    if not bars:
        raise ProblemError(f"no || after the question; write {FORMAT}")
    chain, mark, answer = rest.partition("####")
    if not mark:
        raise ProblemError(f"no #### before the answer; write {FORMAT}")
    between = _BRACKETS.sub(" ", chain).split()
    if between:
        raise ProblemError(f"{' '.join(between)[:60]!r} is no equation; write <<3*60=180>>")
    steps = tuple(_BRACKETS.findall(chain))
    for place, step in enumerate(steps, start=1):
        try:
            split_equation(step)
        except ProblemError as error:
            raise ProblemError(f"step {place}: {error}") from None
    problem = Problem(question.strip(), steps, answer.strip())
    check_texts(problem)
    return problem


def write_gsm8k(problems: Iterable[Problem], path: str | os.PathLike[str]) -> None:
    """Write problems in iCoT's text format; whole or not at all.

    Args:
        problems: problems whose steps are equations.
        path: the file to make or replace; its folder must exist.

    Raises:
        ProblemError: a problem would not come back as it is (with its index).
        OSError: the file cannot be written; an old one is left as it was.
    """
    lines = []
    for row, problem in enumerate(problems):
        line = f"{problem.question}||{' '.join(problem.steps)} #### {problem.answer}\n"
        try:
            same = "\n" not in line[:-1] and _from_line(line.encode()) == problem
        except ProblemError as error:
            raise ProblemError(f"problem {row}: {error}") from None
        if not same:
            raise ProblemError(f"problem {row} does not fit on a line {FORMAT}")
        lines.append(line)
    write_text(path, "".join(lines))


# --- checking ----------------------------------------------------------------------------------


def is_gsm8k(problem: Problem) -> bool:
    """Tell an arithmetic problem: a step is in double angle brackets, or the answer is a number."""
    if problem.graph is not None:
        return False
    bracketed = any(step.lstrip().startswith("<<") for step in problem.steps)
    return bracketed or _value(problem.answer) is not None


def step_faults(problem: Problem) -> list[str | None]:
    """Recompute every step exactly (see `arithmetic` for numbers and rounding).

    Args:
        problem: an arithmetic problem.

    Returns:
        For each step why it fails, or None when it holds.
    """
    faults: list[str | None] = []
    for step in problem.steps:
        try:
            equation = read_equation(step)
        except ProblemError as error:
            faults.append(str(error))
            continue
        exact = write_number(equation.value)
        faults.append(
            None if equation.holds else f"{equation.left} is {exact}, not {equation.right}"
        )
    return faults


def rounded_steps(problem: Problem) -> int:
    """Count the steps that hold only as rounded."""
    count = 0
    for step, fault in zip(problem.steps, step_faults(problem), strict=True):
        count += fault is None and read_equation(step).rounded
    return count


def answer_fault(problem: Problem) -> str | None:
    """Say why the answer is not the result of the last step, or None when it is.

    A problem without steps has nothing to compare with, so its answer only has to be a number.
    """
    answer = _value(problem.answer)
    if answer is None:
        return f"the answer {problem.answer[:60]!r} is no number"
    if not problem.steps:
        return None
    result = _result(problem.steps[-1])
    if result is None:
        return "the last step has no result to compare with the answer"
    if result != answer:
        return (
            f"the answer is {problem.answer}, but the last step results in {write_number(result)}"
        )
    return None


def _value(text: str) -> Fraction | None:
    try:
        return number(text)
    except ProblemError:
        return None


def _result(step: str) -> Fraction | None:
    try:
        return _value(split_equation(step)[1])
    except ProblemError:
        return None


# --- shortcuts ---------------------------------------------------------------------------------


def _product(numbers: list[Fraction]) -> Fraction:
    return prod(numbers, start=Fraction(1))


# A rule makes its guess from the numbers that the question gives in digits, in order.
RULES: Mapping[str, Callable[[list[Fraction]], Fraction]] = {
    "the first number": lambda found: found[0],
    "the last number": lambda found: found[-1],
    "the largest number": max,
    "the smallest number": min,
    "the sum of all numbers": lambda found: sum(found, Fraction(0)),
    "the product of all numbers": _product,
    "the sum of the last two numbers": lambda found: sum(found[-2:], Fraction(0)),
    "the product of the last two numbers": lambda found: _product(found[-2:]),
    "the product of the first two numbers": lambda found: _product(found[:2]),
    "the largest number less the smallest": lambda found: max(found) - min(found),
}
COMMONEST = "the most common answer of these problems"


def gsm8k_shortcuts(problems: Iterable[Problem]) -> dict[str, float]:
    """Measure how often rules that read no sentence give the right answer.

    Args:
        problems: arithmetic problems.

    Returns:
        Rule → accuracy between 0 and 1, the best rule first.

    Raises:
        ProblemError: there are no problems, or an answer is no number (with its index).
    """
    wins: Counter[str] = Counter(dict.fromkeys((*RULES, COMMONEST), 0))
    answers: Counter[Fraction] = Counter()
    for row, problem in enumerate(problems):
        answer = _value(problem.answer)
        if answer is None:
            raise ProblemError(f"problem {row}: {answer_fault(problem)}")
        answers[answer] += 1
        found = numbers_in(problem.question)
        for name, rule in RULES.items():
            wins[name] += bool(found) and rule(found) == answer
    if answers:
        wins[COMMONEST] = max(answers.values())
    return ranked(wins, answers.total())


def describe_arithmetic(problems: Iterable[Problem]) -> dict[str, float]:
    """Measure how much computing arithmetic problems ask for.

    Args:
        problems: arithmetic problems, at least one.

    Returns:
        "problems"; "steps", their mean number; and as shares between 0 and 1: "answer stands in
        the question", "one operation gives the answer" (some operation on two numbers of the
        question: no rule of one operation scores more), and "steps that use an earlier result" (of
        all steps after the first).

    Raises:
        ProblemError: there are no problems, or an answer is no number (with its index).
    """
    problems = list(problems)
    if not problems:
        raise ProblemError("there are no problems to describe")
    stands, once, uses = [], [], []
    for row, problem in enumerate(problems):
        answer = _value(problem.answer)
        if answer is None:
            raise ProblemError(f"problem {row}: {answer_fault(problem)}")
        found = numbers_in(problem.question)
        stands.append(answer in found)
        once.append(any(answer in _combined(a, b) for a, b in combinations(found, 2)))
        results = [_result(step) for step in problem.steps]
        for place, step in enumerate(problem.steps[1:], start=1):
            used = numbers_in(step.partition("=")[0])
            uses.append(any(result in used for result in results[:place]))
    return {
        "problems": len(problems),
        "steps": fmean(len(problem.steps) for problem in problems),
        "answer stands in the question": fmean(stands),
        "one operation gives the answer": fmean(once),
        "steps that use an earlier result": fmean(uses) if uses else 0.0,
    }


def _combined(a: Fraction, b: Fraction) -> set[Fraction]:
    both = {a + b, a - b, b - a, a * b}
    return both | ({a / b} if b else set()) | ({b / a} if a else set())

"""An exercise: the right function, the cases it is tried on, and the mistakes learners make.

A mistake is a change to the text of the right function. Where the learner's results differ from
the right ones, the mistakes are run as well, and the one that gives the learner's results is named.
"""

from __future__ import annotations

import ast
import copy
import inspect
import math
import textwrap
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, allclose

Function = Callable[..., Any]
#: What to replace by what in the text of the right function, once or several times; or a function.
Change = tuple[str, str] | Sequence[tuple[str, str]] | Function
TOLERANCE = 1e-4  # mistakes are off by 1e-3 or more, rounding by 1e-6 or less


class CheckFailed(AssertionError):
    """An exercise is not solved yet; the message says what is wrong and what to do."""

    def _render_traceback_(self) -> list[str]:
        """Show just the message in a notebook: the traceback would be that of the check."""
        return [f"CheckFailed: {self}"]


class Exercise:
    """The check of one exercise; call it with the learner's function. See `exercise`."""

    def __init__(self, right: Function, **parts: Any) -> None:
        self.right, self.name = right, right.__name__
        self.cases: Callable[[], Iterable[tuple]] = parts["cases"]
        self.returns = [name.strip() for name in parts["returns"].split(",")]
        self.says: str = parts["says"]
        self.mistakes: Mapping[str, Change] = parts["mistakes"]
        self.observe: Function = parts.get("observe") or self._results
        self.limits: Function = parts.get("limits") or (lambda got, want: None)
        self.shown: Function = parts.get("shown") or self._arguments
        self.__doc__ = right.__doc__

    def __call__(self, function: Function) -> None:
        """Run a learner's function on all cases.

        Raises:
            CheckFailed: what is wrong, and which typical mistake it is.
        """
        if not callable(function):
            raise CheckFailed(
                f"{self.name}: the check needs the function itself, not {kind(function)}; "
                f"write checks.{self.name}({self.name}), without calling it"
            )
        got: list[dict[str, Any]] = []
        want = self.wanted()
        wrong: list[int] = []
        for number, case in enumerate(self.cases()):
            try:
                got.append(self.observe(self._guarded(function), *case))
            except CheckFailed:
                if wrong:
                    break  # what is wrong already says more
                raise
            if not same(compared(got[-1]), compared(want[number])):
                wrong.append(number)
        if wrong:
            raise CheckFailed(f"{self.name}: {self._blame(got, want, wrong)}")
        for found, expected in zip(got, want, strict=True):
            if complaint := self.limits(found, expected):
                raise CheckFailed(f"{self.name}: {complaint}")
        print(f"{self.name} passes: {self.says.format(len(want))}.")

    def wanted(self) -> list[dict[str, Any]]:
        """The right results of all cases."""
        return [self.observe(self.right, *case) for case in self.cases()]

    def wrong_functions(self) -> dict[str, Function]:
        """Each typical mistake as a function: by message."""
        return {message: self._changed(change) for message, change in self.mistakes.items()}

    def _blame(self, got: list[dict], want: list[dict], wrong: list[int]) -> str:
        first = wrong[0]
        got, want = [compared(one) for one in got], [compared(one) for one in want]
        if (fault := type_fault(got[first], want[first])) is not None:
            return fault
        tried = []
        for message, function in self.wrong_functions().items():
            try:
                results = [
                    compared(self.observe(function, *case))
                    for case, _ in zip(self.cases(), got, strict=False)
                ]
            except Exception:  # a mistake may crash on a case where the learner's code does not
                continue
            if same(got, results):
                return message
            tried.append((message, results[first]))
        name = next(n for n in want[first] if not same(got[first][n], want[first][n]))
        for part in (list(want[first]), [name]):
            for message, result in tried:
                if all(same(got[first][n], result[n]) for n in part) and not all(
                    same(want[first][n], result[n]) for n in part
                ):
                    return message
        where = self.shown(*list(self.cases())[first])
        before = [n for n in want[first] if n != name][: list(want[first]).index(name)]
        right = f" ({', '.join(before)}: right)" if before else ""
        return f"{name} {difference(got[first][name], want[first][name])}{right}{where}."

    def _changed(self, change: Change) -> Function:
        if callable(change):
            return change
        text = source_of(self.right)
        for old, new in [change] if isinstance(change[0], str) else change:
            if old not in text:
                raise ValueError(f"{self.name}: there is no {old!r} to change")
            text = text.replace(old, new)
        scope = dict(self.right.__globals__)
        exec(compile(text, f"<{self.name} with a mistake>", "exec"), scope)
        return scope[self.right.__name__]

    def _results(self, function: Function, *case: Any) -> dict[str, Any]:
        result = function(*copy.deepcopy(case))
        if len(self.returns) == 1:
            return {self.returns[0]: plain(result)}
        if not isinstance(result, (tuple, list)) or len(result) != len(self.returns):
            raise CheckFailed(
                f"{self.name} should return ({', '.join(self.returns)}), not {kind(result)}."
            )
        return dict(zip(self.returns, map(plain, result), strict=True))

    def _arguments(self, *case: Any) -> str:
        names = list(inspect.signature(self.right).parameters)
        return " with " + ", ".join(f"{n}={v!r}" for n, v in zip(names, case, strict=True))

    def _guarded(self, function: Function) -> Function:
        def run(*arguments: Any, **named: Any) -> Any:
            try:
                result = function(*arguments, **named)
            except NotImplementedError as error:
                raise CheckFailed(f"{self.name} is not written yet: fill in the stub.") from error
            except Exception as error:
                text = " ".join(str(error).split())[:300]
                raise CheckFailed(
                    f"{self.name} raised {type(error).__name__}: {text}{place_of(error, function)}"
                ) from error
            if result is None:
                raise CheckFailed(
                    f"{self.name} is not written yet: it returns None. Does it end in `return`?"
                )
            return result

        return run


def exercise(**parts: Any) -> Callable[[Function], Exercise]:
    """Make the check of an exercise out of its right function.

    Args:
        cases: gives the arguments of every call, made anew each time.
        returns: what the results are called, "low, high".
        says: what to tell a learner whose function is right; {} is the number of cases.
        mistakes: message → change.
        observe: `(function, *case)` to what is compared, by name, in the order in which it comes
            about; by default what the function returns.
        limits: `(got, want)` to a complaint about right results, such as too many passes, or None.
        shown: `(*case)` to words for the message when no mistake fits.
    """
    return lambda right: Exercise(right, **parts)


def source_of(function: Function) -> str:
    """The text of a function without its decorators."""
    text = textwrap.dedent(inspect.getsource(function))
    return "\n".join(text.splitlines()[ast.parse(text).body[0].lineno - 1 :])


def place_of(error: Exception, function: Function) -> str:
    """Where in the learner's own code an exception came from."""
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    return f"\nIt was in line {frames[-1].lineno}: {frames[-1].line}" if frames else ""


def compared(seen: dict[str, Any]) -> dict[str, Any]:
    """What is compared of an observation: names with a _ in front are for `limits` only."""
    return {name: value for name, value in seen.items() if name[0] != "_"}


def plain(value: Any) -> Any:
    """Numbers of numpy and torch as Python's, tuples as lists."""
    if isinstance(value, np.generic) or (isinstance(value, Tensor) and value.ndim == 0):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value


def same(got: Any, want: Any) -> bool:
    """Whether two results are equal, up to rounding."""
    if isinstance(want, Tensor) and isinstance(got, Tensor):
        a, b = got.detach().double(), want.detach().double()
        return a.shape == b.shape and allclose(a, b, TOLERANCE, TOLERANCE)
    if isinstance(want, dict) and isinstance(got, dict):
        return want.keys() == got.keys() and all(same(got[key], want[key]) for key in want)
    if isinstance(want, list) and isinstance(got, list):
        return len(got) == len(want) and all(map(same, got, want))
    if isinstance(want, float) and is_number(got):
        return math.isclose(got, want, rel_tol=TOLERANCE, abs_tol=1e-6)
    return type(got) is not Tensor and bool(got == want)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def kind(value: Any) -> str:
    """Say in words what a value is."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, (tuple, list, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"{type(value).__name__} ({str(value)[:40]})"


def type_fault(got: Any, want: Any, what: str = "the result") -> str | None:
    """Say where a result is of the wrong type, or None."""
    if isinstance(want, dict):
        found = (type_fault(got.get(name), want[name], name) for name in want)
        return next((fault for fault in found if fault), None)
    wanted = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}
    fits = (
        is_number(got) if isinstance(want, float)
        else is_number(got) and got % 1 == 0 if type(want) is int
        else got in (True, False) if isinstance(want, bool)
        else isinstance(got, Tensor if isinstance(want, Tensor) else type(want))
    )  # fmt: skip
    if not fits:
        return f"{what} should be {wanted.get(type(want)) or kind(want)}, not {kind(got)}."
    if isinstance(want, list) and want:
        for index, entry in enumerate(got):
            if fault := type_fault(
                entry, want[min(index, len(want) - 1)], f"entry {index} of {what}"
            ):
                return fault
    return None


def difference(got: Any, want: Any) -> str:
    """Say how a wrong result differs from the right one."""
    if isinstance(want, Tensor):
        if got.shape != want.shape:
            return f"has shape {tuple(got.shape)}, it should be {tuple(want.shape)}"
        return f"is off by up to {(got - want).abs().max().item():.2g}"
    if isinstance(want, list) and len(got) != len(want):
        return f"has {len(got)} entries, it should have {len(want)}"
    if isinstance(want, list):
        at = next(i for i, pair in enumerate(zip(got, want, strict=True)) if not same(*pair))
        return f"is wrong at entry {at}: it {difference(got[at], want[at])}"
    return f"is {got!r}, it should be {want!r}"

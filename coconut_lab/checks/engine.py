"""An exercise: the right function, the cases it is tried on, and the mistakes learners make.

A mistake is a change to the text of the right function. Where the learner's results differ from
the right ones, the mistakes are run as well, and the one that gives the learner's results is named.
"""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

from torch.nn import Module

from coconut_lab.checks.values import difference, kind, plain, same, type_fault

Function = Callable[..., Any]
#: What to replace by what in the text of the right function, once or several times; or a function.
Change = tuple[str, str] | tuple[tuple[str, str], ...] | Function
#: A list: several mistakes of which the same is to be said.
Changes = Change | list[Change]


class CheckFailed(AssertionError):
    """An exercise is not solved yet; the message says what is wrong and what to do."""

    def _render_traceback_(self) -> list[str]:
        """Show just the message in a notebook: the traceback would be that of the check."""
        return [f"CheckFailed: {self}"]


@dataclass(eq=False, repr=False)
class Exercise:
    """The check of one exercise; call it with the learner's function.

    Attributes:
        right: the right function; its name is that of the exercise, its docstring the task.
        cases: gives the arguments of every call, made anew each time.
        returns: what the results are called, "low, high".
        says: what to tell a learner whose function is right; {} is the number of cases.
        mistakes: message → change, or a list of those that make the same mistake.
        observe: `(function, *case)` to what is compared, by name, in the order in which it comes
            about; by default what the function returns. Names that begin with _ are for `limits`.
        limits: `(got, want)` to a complaint about right results, such as too many passes, or None.
        shown: `(*case)` to words for the message when no mistake fits.
        axes: the names of a result's axes, {"hidden": "(B, T, d)"}, for a message about its shape.
        name: how the exercise calls the function, if not by the name of `right`.
    """

    right: Function
    _: KW_ONLY
    cases: Callable[[], Iterable[tuple]]
    returns: str
    says: str
    mistakes: Mapping[str, Changes]
    observe: Function | None = None
    limits: Function | None = None
    shown: Function | None = None
    axes: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        self.name, self.__doc__ = self.name or self.right.__name__, self.right.__doc__

    def __call__(self, function: Function) -> None:
        """Run a learner's function on all cases; `CheckFailed` says what is wrong with it."""
        if not callable(function):
            raise CheckFailed(
                f"{self.name}: the check needs the function itself, not {kind(function)}; "
                f"write checks.{self.name}({self.name}), without calling it"
            )
        want, got = self.wanted(), list[dict[str, Any]]()
        wrong: list[int] = []
        for number, case in enumerate(self.cases()):
            try:
                got.append(self._seen(self._guarded(function, first=not got), *case))
            except CheckFailed as error:
                if wrong:
                    break  # what is wrong already says more
                raise CheckFailed(str(error) + self._crash(error, got)) from error.__cause__
            seen, right = compared(got[-1]), compared(want[number])
            if type_fault(seen, right) or not same(seen, right):
                wrong.append(number)
        if wrong:
            raise CheckFailed(f"{self.name}: {self._blame(got, want, wrong[0])}")
        for found, expected in zip(got, want, strict=True):
            if self.limits and (complaint := self.limits(found, expected)):
                raise CheckFailed(f"{self.name}: {complaint}")
        print(f"{self.name} passes: {self.says.format(len(want))}.")

    def wanted(self) -> list[dict[str, Any]]:
        """The right results of all cases."""
        return [self._seen(self.right, *case) for case in self.cases()]

    @cached_property
    def wrong(self) -> list[tuple[str, Function]]:
        """Each typical mistake: its message, and a function that makes it."""
        return [
            (message, self._changed(change))
            for message, changes in self.mistakes.items()
            for change in (changes if isinstance(changes, list) else [changes])
        ]

    def outcomes(self, function: Function) -> list[Any]:
        """What is compared, one entry per case; an exception ends them, and comes last."""
        results: list[Any] = []
        for case in self.cases():
            try:
                results.append(compared(self._seen(function, *case)))
            except Exception as error:
                return [*results, error.with_traceback(None)]
        return results

    @cached_property
    def tried(self) -> list[tuple[str, list[Any]]]:
        """Each typical mistake: its message and its outcomes."""
        return [(message, self.outcomes(function)) for message, function in self.wrong]

    def _crash(self, error: CheckFailed, got: list[dict]) -> str:
        """The mistake that gives the same results and then raises the same exception, if any."""
        if error.__cause__ is None or isinstance(error.__cause__, NotImplementedError):
            return ""
        ours = list(map(compared, got))
        # The same words say more than the same type, which alone says nothing.
        for told in (repr, type) if ours else (repr,):
            for message, (*results, last) in self.tried:
                if told(last) == told(error.__cause__) and same(results, ours):
                    return f"\n{message}"
        return ""

    def _blame(self, found: list[dict], wanted: list[dict], first: int) -> str:
        """Say what is wrong: the mistake that explains all cases, else most, the first included."""
        got, want = list(map(compared, found)), list(map(compared, wanted))
        for message, results in self.tried:
            if same(got, results[: len(got)]):
                return message
        if fault := type_fault(got[first], want[first]):
            return fault
        keys = list(want[first])
        wrong = next(i for i, k in enumerate(keys) if not same(got[first].get(k), want[first][k]))

        def explained(results: list[Any], keys: list[str]) -> int:
            """In how many cases a mistake gives the same; 0 where not in the first wrong one."""
            agree = [
                isinstance(seen, dict) and all(same(one.get(k), seen.get(k)) for k in keys)
                for one, seen in zip(got, results, strict=False)
            ]
            return sum(agree) if agree[first : first + 1] == [True] else 0

        # Of True and False, or a few words, one is any mistake's: a single case tells nothing.
        weak = isinstance(want[first][keys[wrong]], (bool, str))
        for part in () if weak else (keys, keys[: wrong + 1]):
            message, results = max(self.tried, key=lambda tried: explained(tried[1], part))
            if explained(results, part):
                return message
        where = (self.shown or self._arguments)(*next(islice(self.cases(), first, None)))
        right = f" ({', '.join(keys[:wrong])}: right)" if wrong else ""
        name = keys[wrong]
        how = difference(got[first].get(name), want[first][name], self.axes.get(name, ""))
        return f"{name} {how}{right}{where}."

    def _changed(self, change: Change) -> Function:
        if callable(change):
            return change
        text, pairs = source_of(self.right), list[Any](change)
        for old, new in [pairs] if isinstance(pairs[0], str) else pairs:
            if old not in text:
                raise ValueError(f"{self.name}: there is no {old!r} to change")
            text = text.replace(old, new)
        scope = dict(self.right.__globals__)
        exec(compile(text, f"<{self.name} with a mistake>", "exec"), scope)
        return scope[self.right.__name__]

    def _seen(self, function: Function, *case: Any) -> dict[str, Any]:
        return plain((self.observe or self._results)(function, *case))

    def _results(self, function: Function, *case: Any) -> dict[str, Any]:
        given = [part if isinstance(part, Module) else copy.deepcopy(part) for part in case]
        result, names = function(*given), self.returns.split(", ")
        return dict(zip(names, result if len(names) > 1 else [result], strict=True))

    def _arguments(self, *case: Any) -> str:
        own = list(inspect.signature(self.observe or self.right).parameters)[1:]
        names = own if len(own) == len(case) else inspect.signature(self.right).parameters
        known = (str, int, float, list, tuple, dict)  # tensors and models tell a reader nothing
        plainly = {n: v for n, v in zip(names, case, strict=False) if isinstance(v, known)}
        shown = [f"{name}={value!r}" for name, value in plainly.items() if len(repr(value)) < 200]
        return f" with {', '.join(shown)}" if shown else ""

    def _guarded(self, function: Function, first: bool) -> Function:
        def run(*arguments: Any, **named: Any) -> Any:
            try:
                result = function(*arguments, **named)
            except CheckFailed:  # what a case hands to the function may refuse how it is called
                raise
            except NotImplementedError as error:
                raise CheckFailed(f"{self.name} is not written yet: fill in the stub.") from error
            except Exception as error:
                text = " ".join(str(error).split())[:300]
                raise CheckFailed(
                    f"{self.name} raised {type(error).__name__}: {text}{place_of(error, function)}"
                ) from error
            if result is None and first:
                raise CheckFailed(
                    f"{self.name} is not written yet: it returns None. Does it end in `return`?"
                )
            parts = 1 + self.returns.count(", ")
            if parts > 1 and not (isinstance(result, (tuple, list)) and len(result) == parts):
                raise CheckFailed(
                    f"{self.name} should return ({self.returns}), not {kind(result)}."
                )
            return result

        return run


def exercise(**parts: Any) -> Callable[[Function], Exercise]:
    """Make the check of an exercise out of its right function; `Exercise` says of what parts."""
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

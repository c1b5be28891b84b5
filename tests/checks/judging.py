"""Solutions that tests hand to the checks: right ones pass, of wrong ones the mistake is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coconut_lab import checks

Function = Callable[..., Any]


class Solutions(list[tuple[str, Function, str]]):
    """Exercise, solution, and words of the message that it gets; none if it is right."""

    def wrong(self, name: str, says: str) -> Callable[[Function], Function]:
        return lambda function: self.append((name, function, says)) or function

    def right(self, *names: str) -> Callable[[Function], Function]:
        return lambda function: self.extend((name, function, "") for name in names) or function

    def each(self, test: Function) -> Function:
        ids = [f"{name}-{function.__name__}" for name, function, _ in self]
        return pytest.mark.parametrize(("name", "function", "says"), self, ids=ids)(test)


def judge(name: str, function: Function, says: str) -> None:
    """Let a check judge a solution, and make sure that it says what it should."""
    if not says:
        getattr(checks, name)(function)
        return
    with pytest.raises(checks.CheckFailed) as failure:
        getattr(checks, name)(function)
    assert str(failure.value).startswith(name) and says in str(failure.value)

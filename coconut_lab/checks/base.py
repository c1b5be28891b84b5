"""What every check is made of: run the learner's code, compare, and name the mistake.

A check compares with a reference of its own. Where the results differ, it also computes what
typical mistakes would give; the one that fits is named.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from coconut_lab.checks.engine import CheckFailed

#: What a learner wrote.
Function = Callable[..., Any]

TOLERANCE = 1e-4  # the mistakes are off by 1e-2 or more, rounding by 1e-6 or less


@dataclass(frozen=True)
class Mistake:
    """A typical mistake.

    Attributes:
        message: what the learner did, and what to do instead.
        result: computes what code with this mistake returns: by name, all results or those that
            give it away.
    """

    message: str
    result: Callable[[], Mapping[str, Tensor]]


def call(name: str, function: Function, *arguments: Any) -> Any:
    """Run a learner's function.

    Args:
        name: how the exercise calls the function.
        function: what the learner wrote.
        arguments: what to call it with.

    Returns:
        Whatever it returns, but None.

    Raises:
        CheckFailed: it is not written yet, or it raised; the original exception is chained.
    """
    if not callable(function):
        raise CheckFailed(
            f"{name}: the check needs the function itself, not {_kind(function)}; "
            f"write checks.{name}({name}), without calling it"
        )
    try:
        result = function(*arguments)
    except NotImplementedError as error:
        raise CheckFailed(f"{name} is not written yet: fill in the stub.") from error
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise CheckFailed(
            f"{name} raised {type(error).__name__}: {text}{_place(error, function)}"
        ) from error
    if result is None:
        raise CheckFailed(f"{name} is not written yet: it returns None. Does it end in `return`?")
    return result


def _place(error: Exception, function: Function) -> str:
    """Where in the learner's own code an exception came from."""
    code = getattr(function, "__code__", None)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if code is not None and frame.filename == code.co_filename
    ]
    return f"\nIt was in line {frames[-1].lineno}: {frames[-1].line}" if frames else ""


def parts(name: str, value: Any, names: Sequence[str]) -> tuple[Any, ...]:
    """Take apart a result that should be a tuple."""
    if not isinstance(value, (tuple, list)) or len(value) != len(names):
        raise CheckFailed(f"{name} should return ({', '.join(names)}), not {_kind(value)}.")
    return tuple(value)


def tensor(name: str, what: str, value: Any) -> Tensor:
    """Make sure that a result is a tensor."""
    if not isinstance(value, Tensor):
        raise CheckFailed(f"{name}: {what} should be a tensor, not {_kind(value)}.")
    return value


def tensors(name: str, what: str, value: Any, count: int, why: str) -> list[Tensor]:
    """Make sure that a result is a list of `count` tensors; `why` says what the count is."""
    if not isinstance(value, (tuple, list)):
        raise CheckFailed(f"{name}: {what} should be a list of tensors, not {_kind(value)}.")
    if len(value) != count:
        raise CheckFailed(f"{name}: {what} has {len(value)} entries, it should have {count}: {why}")
    return [tensor(name, f"entry {index} of {what}", entry) for index, entry in enumerate(value)]


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"{type(value).__name__} ({str(value)[:40]})"


def close(left: Tensor, right: Tensor) -> bool:
    """Whether two tensors have one shape and the same values, up to rounding."""
    return left.shape == right.shape and bool(
        torch.allclose(left.detach().double(), right.detach().double(), TOLERANCE, TOLERANCE)
    )


def compare(
    name: str,
    got: Mapping[str, Tensor],
    want: Mapping[str, Tensor],
    mistakes: Sequence[Mistake],
    axes: str = "",
) -> None:
    """Compare results with those of the reference, and name the mistake where they differ.

    Args:
        name: how the exercise calls the function.
        got: the learner's results by name.
        want: the right ones, in the order in which they are computed.
        mistakes: tried in order; those that give the right result here are passed over.
        axes: the names of the axes, for a message about a shape.

    Raises:
        CheckFailed: they differ.
    """
    if all(close(got[key], want[key]) for key in want):
        return
    for mistake in mistakes:
        wrong = mistake.result()
        if all(close(got[key], wrong[key]) for key in wrong) and not all(
            close(want[key], wrong[key]) for key in wrong
        ):
            raise CheckFailed(f"{name}: {mistake.message}")
    right: list[str] = []
    for key in want:
        shape, expected = tuple(got[key].shape), tuple(want[key].shape)
        if shape != expected:
            raise CheckFailed(f"{name}: {key} has shape {shape}, it should be {expected}{axes}.")
        if not close(got[key], want[key]):
            error = (got[key].detach() - want[key].detach()).abs().max().item()
            before = f" ({', '.join(right)}: right)" if right else ""
            raise CheckFailed(f"{name}: {key} is off by up to {error:.2g}{before}.")
        right.append(key)


def compare_lists(
    name: str,
    got: Sequence[Any],
    want: Sequence[Any],
    mistakes: Sequence[tuple[str, Sequence[Any]]],
    otherwise: Callable[[int], str],
) -> None:
    """Compare one result per case, and name the mistake that gives the same results everywhere.

    Args:
        name: how the exercise calls the function.
        got: the learner's results, one per case.
        want: the right ones.
        mistakes: message and results of each typical mistake, tried in order.
        otherwise: what to say of the first case that is wrong, by its index, if no mistake fits.

    Raises:
        CheckFailed: they differ.
    """
    if list(got) == list(want):
        return
    for message, wrong in mistakes:
        if list(got) == list(wrong):
            raise CheckFailed(f"{name}: {message}.")
    at = next(i for i, (a, b) in enumerate(zip(got, want, strict=True)) if a != b)
    raise CheckFailed(f"{name}: {otherwise(at)}.")


def passed(name: str, what: str) -> None:
    """Tell the learner that a check passed, in one line."""
    print(f"{name} passes: {what}.")

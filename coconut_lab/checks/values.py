"""Values that a learner's function returns: compared with the right ones, and put into words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor, allclose

TOLERANCE = 1e-4  # mistakes are off by 1e-3 or more, rounding by 1e-6 or less


def plain(value: Any) -> Any:
    """Numbers of numpy and torch as Python's, tuples and arrays as lists, tensors as copies."""
    if isinstance(value, Tensor):
        return value.detach().clone() if value.ndim else value.item()
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items()}
    return list(map(plain, value)) if isinstance(value, (list, tuple)) else value


def same(got: Any, want: Any) -> bool:
    """Whether two results are equal, up to rounding."""
    if isinstance(want, Tensor) and isinstance(got, Tensor):
        a, b = got.double(), want.double()
        return a.shape == b.shape and allclose(a, b, TOLERANCE, TOLERANCE)
    if isinstance(want, dict) and isinstance(got, dict):
        return want.keys() == got.keys() and all(same(got[key], want[key]) for key in want)
    if isinstance(want, list) and isinstance(got, list):
        return len(got) == len(want) and all(map(same, got, want))
    if isinstance(want, float) and is_number(got):
        return math.isclose(got, want, rel_tol=TOLERANCE, abs_tol=1e-8)
    numbers = isinstance(got, (int, float)) and isinstance(want, (int, float))
    return (numbers or type(got) is type(want)) and bool(got == want)


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
    """Say where a result is of the wrong type, or None; None may take the place of a value."""
    if want is None or (got is None and not isinstance(want, (Tensor, list, dict))):
        return None
    if isinstance(want, dict) and isinstance(got, dict):
        missing = (f"{what} has no {name!r}." for name in want if name not in got)
        inside = (type_fault(got[name], want[name], name) for name in want)
        return next(missing, None) or next(filter(None, inside), None)
    wanted = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}
    if isinstance(want, bool):
        fits = isinstance(got, (bool, int)) and got in (0, 1)
    elif is_number(want):
        fits = is_number(got) and (isinstance(want, float) or got % 1 == 0)
    else:
        fits = isinstance(got, Tensor if isinstance(want, Tensor) else type(want))
    if not fits:
        return f"{what} should be {wanted.get(type(want)) or kind(want)}, not {kind(got)}."
    if isinstance(want, Tensor) and got.is_floating_point() > want.is_floating_point():
        return f"{what} should hold whole numbers; they should be int64, not {got.dtype}."
    if isinstance(want, list) and want:
        pairs = enumerate(zip(got, [*want, *want[-1:] * len(got)], strict=False))
        inside = (type_fault(one, right, f"entry {i} of {what}") for i, (one, right) in pairs)
        return next(filter(None, inside), None)
    return None


def difference(got: Any, want: Any, axes: str = "") -> str:
    """Say how a wrong result differs from the right one."""
    if isinstance(want, Tensor):
        if got.shape != want.shape:
            names = f" = {axes}" if axes else ""
            return f"has shape {tuple(got.shape)}, it should be {tuple(want.shape)}{names}"
        return f"is off by up to {(got.double() - want.double()).abs().max().item():.2g}"
    if isinstance(want, list):
        pairs = enumerate(zip(got, want, strict=False))
        at = next((index for index, pair in pairs if not same(*pair)), None)
        count = f"has {len(got)} entries, it should have {len(want)}"
        if at is None:
            return count
        words = isinstance(want[at], list) and all(isinstance(one, str) for one in want[at])
        how = f"is {got[at]}, it should be {want[at]}" if words else difference(got[at], want[at])
        place = f"is wrong at entry {at}: it {how}"
        return place if len(got) == len(want) else f"{count}, and {place}"
    return "is {}, it should be {}".format(
        *(f"{one:.4g}" if isinstance(one, float) else repr(one) for one in (got, want))
    )

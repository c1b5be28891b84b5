"""What errors share: messages that can be read, whatever was put into them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

LONGEST = 1500  # characters
Used = TypeVar("Used", bound=Callable[..., Any])

#: What counts as a kind, where that is more than its instances; and what to call a kind.
KINDS: dict[Any, Any] = {int: Integral, float: Real, bool: (bool, Integral, np.bool_)}
LISTS = (Sequence, Iterable, list, tuple)
WORDS = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "True or False",
    "NoneType": "None", "Sequence": "a list", "Iterable": "a list", "Mapping": "a dictionary",
    "PathLike": "a path", "PreTrainedTokenizerBase": "a tokenizer, as AutoTokenizer loads it",
    "Problem": "a Problem, as load_problems makes them", "Recipe": "a Recipe (load_recipe)",
    "Coconut": "a Coconut, such as load('tiny-base').model", "Callable": "a function",
}  # fmt: skip


class ShortError(Exception):
    """An error of one line, which is cut in the middle where it is too long to be read."""

    def __init__(self, message: object = "") -> None:
        text, half = " ".join(str(message).splitlines()), LONGEST // 2
        super().__init__(text if len(text) <= LONGEST else f"{text[:half]} […] {text[-half:]}")


def check_whole(name: str, value: Any, least: int, kind: type[Exception] = ValueError) -> None:
    """Raise an error unless a setting is a whole number that is large enough."""
    if not _is(value, int):
        raise kind(f"{name} is {_shown(value)}; it must be a whole number, {least} or more")
    if value < least:
        raise kind(f"{name} is {value}; it must be {least} or more")


def checks_kinds(error: type[Exception], *but: str) -> Callable[[Used], Used]:
    """Let a function, or a class being made, refuse what its annotations do not allow.

    The error says in which argument, what is there, and what to give; `but` check themselves.
    """

    def decorate(function: Any) -> Any:
        if isinstance(function, type):
            function.__init__ = decorate(function.__init__)  # type: ignore[misc]
            return function
        signature, hints = inspect.signature(function), dict[str, Any]()

        @functools.wraps(function)
        def checked(*args: Any, **named: Any) -> Any:
            hints.update(hints or get_type_hints(function))
            for name, value in signature.bind(*args, **named).arguments.items():
                hint = Any if name in but else hints.get(name, Any)
                if fault := _misfit(name, value, hint):
                    raise error(f"{function.__qualname__.removesuffix('.__init__')}: {fault}")
            return function(*args, **named)

        return checked

    return decorate


def _misfit(place: str, value: Any, hint: Any) -> str:
    """Say what is wrong with a value, or with the first wrong member of a list."""
    hints = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if not any(_is(value, one) for one in hints):
        names = [(get_origin(one) or one).__name__ for one in hints]
        wanted = " or ".join(WORDS.get(name, f"a {name}") for name in names)
        return f"{place} is {_shown(value)}; give {wanted}"
    for one in hints:
        if get_origin(one) in LISTS and hasattr(value, "__len__"):
            member, *rest = get_args(one)
            for index, each in enumerate(value if rest in ([], [...]) else ()):
                if not _is(each, member):
                    return _misfit(f"{place}[{index}]", each, member)
    return ""


def _is(value: Any, hint: Any) -> bool:
    kind = get_origin(hint) or hint
    if kind in LISTS:
        needed = ("__iter__",) if kind is Iterable else ("__iter__", "__len__")
        return not isinstance(value, str | bytes) and all(hasattr(value, one) for one in needed)
    if kind in (Any, Union, UnionType) or not isinstance(kind, type):
        return True
    return isinstance(value, KINDS.get(kind, kind)) and (
        not isinstance(value, bool) or kind not in (int, float)
    )


def _shown(value: Any) -> str:
    plain = value is None or isinstance(value, str | bytes | Real)
    return f"{value!r:.80}" if plain else f"of type {type(value).__name__}"

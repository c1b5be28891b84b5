"""What errors share: messages that can be read, whatever was put into them."""

from __future__ import annotations

from numbers import Integral
from typing import Any

LONGEST = 1500  # characters


class ShortError(Exception):
    """An error whose message is cut in the middle where it is too long to be read."""

    def __init__(self, message: object = "") -> None:
        text = str(message)
        half = LONGEST // 2
        super().__init__(text if len(text) <= LONGEST else f"{text[:half]} […] {text[-half:]}")


def check_whole(name: str, value: Any, least: int, kind: type[Exception] = ValueError) -> None:
    """Raise an error unless a setting is a whole number that is large enough."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise kind(f"{name} is {value!r:.80}; it must be a whole number, {least} or more")
    if value < least:
        raise kind(f"{name} is {value}; it must be {least} or more")


def check_kind(
    name: str, value: Any, kind: type, instead: str, error: type[Exception] = ValueError
) -> None:
    """Raise an error unless a value is of a kind; `instead` says where to get one."""
    if not isinstance(value, kind):
        raise error(f"{name} is of type {type(value).__name__}, not {kind.__name__}; {instead}")

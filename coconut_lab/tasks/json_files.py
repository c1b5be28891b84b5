"""Reading JSON that others wrote: every fault is a ProblemError that names its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from coconut_lab.tasks.notation import ProblemError

_Type = TypeVar("_Type")


def parse_json(path: Path) -> Any:
    """Read a whole JSON file.

    Args:
        path: the file, in UTF-8.

    Returns:
        Its content.

    Raises:
        ProblemError: the file cannot be read, or is malformed or cut off; with line and column.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ProblemError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        fault = f"line {line}, column {column}: not UTF-8"
    except json.JSONDecodeError as error:
        fault = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except (ValueError, RecursionError) as error:  # a number or a nesting beyond all bounds
        fault = f"line 1, column 1: {error}"
    raise ProblemError(f"{path}: {fault}; the file is malformed or cut off")


def value_of(row: dict[str, Any], key: str, kind: type[_Type]) -> _Type:
    """Take one value out of a JSON object.

    Raises:
        ProblemError: the key is missing or its value is not of this kind; the message names it.
    """
    if key not in row:
        raise ProblemError(f"key {key!r} is missing")
    value = row[key]
    if type(value) is not kind:  # `isinstance` would take True for a number
        raise ProblemError(f"key {key!r} is {type_name(value)}, not {kind.__name__}")
    return value


def values_of(row: dict[str, Any], key: str, kind: type[_Type]) -> list[_Type]:
    """Take a list out of a JSON object whose entries are all of one kind.

    Raises:
        ProblemError: as `value_of`, or an entry is not of this kind; the message says which.
    """
    values = value_of(row, key, list)
    for number, value in enumerate(values):
        if type(value) is not kind:
            raise ProblemError(
                f"key {key!r}: entry {number} is {type_name(value)}, not {kind.__name__}"
            )
    return values


def type_name(value: Any) -> str:
    """Name the type of a JSON value in a message."""
    return "null" if value is None else type(value).__name__

"""Coconut's JSON, read and written. A fault of a file is a ProblemError that names its place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, PlainValidator, ValidationError

from coconut_lab.files import write_text
from coconut_lab.tasks.notation import placed
from coconut_lab.tasks.problems import Graph, Problem, ProblemError, verify

#: More characters than this in one text are a damaged file, not a problem.
LONGEST_TEXT = 1_000_000

_Model = TypeVar("_Model", bound=BaseModel)
_EXPECTED = {"string_type": "str", "int_type": "int", "list_type": "list", "model_type": "dict"}


class _Row(BaseModel, strict=True):
    question: str
    steps: list[str]
    answer: str


def _edge(value: Any) -> tuple[int, int]:
    if not isinstance(value, list) or [type(end) for end in value] != [int, int]:
        raise ValueError("not [parent, child]")
    return value[0], value[1]


class _GraphOfRow(BaseModel, strict=True):
    """What a row of ProsQA has besides, in the order of the published files."""

    idx_to_symbol: list[str]
    edges: list[Annotated[tuple[int, int], PlainValidator(_edge)]]
    root: int
    target: int
    neg_target: int


def read_json(path: str | os.PathLike[str]) -> list[Problem]:
    """Read and verify all problems of a file, or none: a ProblemError names the place."""
    return read_rows(path, enumerate(parse_json(path, list, "problems")))


def write_json(problems: Iterable[Problem], path: str | os.PathLike[str]) -> None:
    """Write problems as Coconut's JSON, as published byte for byte; whole or not at all.

    Args:
        problems: any problems; those with a graph get its keys too.
        path: the file to make or replace; its folder must exist.

    Raises:
        OSError: the file cannot be written; an old one is left as it was.
    """
    rows = []
    for problem in problems:
        row: dict[str, Any] = {
            "question": problem.question,
            "answer": problem.answer,
            "steps": problem.steps,
        }
        graph = problem.graph
        if graph is not None:
            values = (graph.names, graph.edges, graph.root, graph.target, graph.distractor)
            row.update(zip(_GraphOfRow.model_fields, values, strict=True))
        rows.append(row)
    write_text(path, json.dumps(rows))


def problem_of(row: Any) -> Problem:
    """Make a problem of one row, verified if it is of ProsQA; a ProblemError names the key."""
    texts = checked(_Row, row)
    graph = None
    if _GraphOfRow.model_fields.keys() & row.keys():
        parts = checked(_GraphOfRow, row)
        names, edges = tuple(parts.idx_to_symbol), tuple(parts.edges)
        graph = Graph(names, edges, parts.root, parts.target, parts.neg_target)
    problem = Problem(texts.question, tuple(texts.steps), texts.answer, graph)
    check_texts(problem)
    if graph is not None:
        verify(problem)
    return problem


def read_rows(
    source: object,
    rows: Iterable[tuple[object, Any]],
    read: Callable[[Any], Problem] = problem_of,
) -> list[Problem]:
    """Read rows, each with its label; a ProblemError names the source and the row."""
    problems = []
    for label, row in rows:
        with placed(f"{source}: row {label}"):
            problems.append(read(row))
    return problems


def check_texts(problem: Problem) -> None:
    """Refuse a problem of which some text is empty or absurdly long; the message says which."""
    texts = [("the question", problem.question), ("the answer", problem.answer)]
    texts += [(f"step {number}", step) for number, step in enumerate(problem.steps, start=1)]
    for name, text in texts:
        if not text.strip():
            raise ProblemError(f"{name} is empty; fill it in or remove the row")
        if len(text) > LONGEST_TEXT:
            raise ProblemError(
                f"{name} has {len(text):,} characters, more than {LONGEST_TEXT:,}; "
                "the file is damaged, or several problems run together"
            )


def parse_json(path: str | os.PathLike[str], kind: type, content: str) -> Any:
    """Read a JSON file that holds a list or dict of `content`; ProblemError with line, column."""
    raw = read_bytes(path)
    try:
        found = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        fault = f"line {line}, column {column}: not UTF-8"
    except json.JSONDecodeError as error:
        fault = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except (ValueError, RecursionError) as error:  # a number or a nesting beyond all bounds
        fault = f"line 1, column 1: {error}"
    else:
        if isinstance(found, kind):
            return found
        raise ProblemError(
            f"{path}: expected a {kind.__name__} of {content}, found {_type_name(found)}"
        )
    raise ProblemError(f"{path}: {fault}; the file is malformed or cut off")


def read_bytes(path: str | os.PathLike[str], count: int = -1) -> bytes:
    """Read the start of a file, by default all of it; ProblemError where that is not possible."""
    try:
        with open(path, "rb") as file:
            return file.read(count)
    except OSError as error:
        raise ProblemError(f"{path}: cannot be read: {error.strerror}") from error


def checked(model: type[_Model], value: Any) -> _Model:
    """Check the keys and types of one JSON value; a ProblemError names the place of a fault."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
    path, kind, found = fault["loc"], fault["type"], fault["input"]
    if not path:
        raise ProblemError(f"expected keys and values, found {_type_name(found)}")
    place = ": ".join(f"key {at!r}" if isinstance(at, str) else f"entry {at}" for at in path)
    if kind == "missing":
        raise ProblemError(f"{place} is missing")
    if kind in _EXPECTED:
        raise ProblemError(f"{place} is {_type_name(found)}, not {_EXPECTED[kind]}")
    raise ProblemError(
        f"{place} is {str(found)[:60]}, {fault['msg'].removeprefix('Value error, ')}"
    )


def _type_name(value: Any) -> str:
    return "null" if value is None else type(value).__name__

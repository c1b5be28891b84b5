"""JSON, read row by row and written. A fault of a file is a ProblemError that names its place."""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from coconut_lab.errors import checks_kinds
from coconut_lab.files import write_text
from coconut_lab.tasks.arithmetic import number, write_number
from coconut_lab.tasks.notation import ProblemError, placed
from coconut_lab.tasks.problems import Graph, Problem, verify

#: More characters than this in one text are a damaged file, not a problem.
LONGEST_TEXT = 1_000_000

_Made = TypeVar("_Made")
_Model = TypeVar("_Model", bound=BaseModel)
_EXPECTED = {"string_type": "str", "int_type": "int", "list_type": "list", "model_type": "dict"}
_SPACE = re.compile(r"[ \t\n\r]*")
_HALVES = re.compile("[\ud800-\udfff]")


class _Row(BaseModel, strict=True):
    question: str
    steps: list[str]
    answer: str


class _GraphOfRow(BaseModel, strict=True):
    """What a row of ProsQA has besides, in the order of the published files."""

    idx_to_symbol: list[str]
    edges: list[Annotated[list[int], Field(min_length=2, max_length=2)]]
    root: int
    target: int
    neg_target: int


# --- rows --------------------------------------------------------------------------------------


def json_rows(text: str) -> Iterator[tuple[str, Any]]:
    """Give the rows of a JSON text, each with its place, such as `3 (line 5)`.

    The text is a list of rows, a dict of named rows, `{"data": [rows]}`, one row, or one row after
    the other, each on lines of its own (JSON Lines).
    """
    line = last = 0
    try:
        for row, (name, at, value) in enumerate(_rows(text)):
            line, last = line + text.count("\n", last, at), at
            yield f"{row} ({name[:60] + ', ' if name else ''}line {line + 1})", value
    except json.JSONDecodeError as error:
        raise ProblemError(
            f"line {error.lineno}, column {error.colno}: {error.msg}; the file is malformed or "
            "cut off"
        ) from None


def _rows(text: str) -> Iterator[tuple[str, int, Any]]:
    """Name, place and value of each row."""
    start = _after_space(text, 0)
    # All of it once, so that a file cut off is refused whatever rows are asked for.
    first, end = _decode(text, start, _DECODER if text[start] == "{" else json.JSONDecoder())
    rest = _after_space(text, end)
    if isinstance(first, list):
        if rest < len(text):
            raise json.JSONDecodeError("Extra data", text, rest)
        yield from _members(text, start)
        return
    if rest < len(text):
        while start < len(text):
            value, end = _decode(text, start)
            yield "", start, value
            start = _after_space(text, end)
            if start < len(text) and "\n" not in text[end:start]:
                raise json.JSONDecodeError("Extra data", text, start)
        return
    wrapped = isinstance(first.get("data"), list)
    if not wrapped and any(isinstance(value, str) for value in first.values()):
        yield "", start, first
        return
    for name, at, value in _members(text, start):
        if wrapped and name == "data":
            yield from _members(text, at)
        elif not wrapped or isinstance(value, dict | list):
            yield name, at, value


def _members(text: str, at: int) -> Iterator[tuple[str, int, Any]]:
    """Name (of an object), place and value of each member of a JSON value that is well formed."""
    closing = {"[": "]", "{": "}"}[text[at]]
    at, name = _after_space(text, at + 1), ""
    while not text.startswith(closing, at):
        if closing == "}":
            name, at = _decode(text, at)
            at = _after_space(text, _after_space(text, at) + 1)  # past the colon
        value, end = _decode(text, at)
        yield name, at, value
        at = _after_space(text, end)
        if text.startswith(",", at):
            at = _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _decode(text: str, at: int, decoder: json.JSONDecoder | None = None) -> tuple[Any, int]:
    """Read the value that starts at a place; gives its end too."""
    try:
        return (decoder or _DECODER).raw_decode(text, at)
    except (ValueError, RecursionError) as error:  # a number or a nesting beyond all bounds
        if isinstance(error, json.JSONDecodeError):
            raise
        raise json.JSONDecodeError(str(error), text, at) from None


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        twice, _ = Counter(name for name, _ in members).most_common(1)[0]
        raise ValueError(f"the key {twice[:60]!r} occurs twice in one object")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


# --- problems ----------------------------------------------------------------------------------

#: How data sets for evaluation name question and answer, where it is not so.
_COLUMNS = (("question", "final_ans"), ("question_concat", "Answer"), ("input", "target"))


def problem_of(row: Any) -> Problem:
    """Make a problem of one row, verified if it is of ProsQA; a ProblemError names the key."""
    if isinstance(row, dict) and "steps" not in row:
        row = _for_evaluation(row)
    texts = checked(_Row, row)
    graph = None
    if _GraphOfRow.model_fields.keys() & row.keys():
        parts = checked(_GraphOfRow, row)
        edges = tuple((parent, child) for parent, child in parts.edges)
        names = tuple(parts.idx_to_symbol)
        graph = Graph(names, edges, parts.root, parts.target, parts.neg_target)
    problem = Problem(texts.question, tuple(texts.steps), texts.answer, graph)
    check_problem(problem)
    return problem


def _for_evaluation(row: dict[str, Any]) -> dict[str, Any]:
    """A row without steps whose answer is a number; the equations in its answer are its steps.

    In GSM8K as first published the answer is a text that ends in `#### 72`.
    """
    for question, answer in _COLUMNS:
        if question in row and answer in row:
            row = {"question": row[question], "answer": row[answer]}
    given = row.get("answer")
    if (isinstance(given, float) and math.isfinite(given)) or type(given) is int:
        given = write_number(Fraction(str(given)))
    chain, _, answer = str(given).rpartition("####")
    if number(answer) is None:
        return row
    return row | {"answer": answer.strip(), "steps": re.findall("<<[^<>]*>>", chain)}


def check_problem(problem: Problem) -> None:
    """Refuse what no file may hold: an empty or absurdly long text, or wrong steps of ProsQA."""
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
        if "\0" in text or _HALVES.search(text):
            raise ProblemError(f"{name} holds a null character or half a surrogate pair")
    if problem.graph is not None:
        verify(problem)


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
        raise ProblemError(f"{place} is missing; there are {', '.join(found)[:200] or 'no keys'}")
    if kind in _EXPECTED:
        raise ProblemError(f"{place} is {_type_name(found)}, not {_EXPECTED[kind]}")
    raise ProblemError(f"{place} is {str(found)[:60]}, not [parent, child]")


def _type_name(value: Any) -> str:
    return "null" if value is None else type(value).__name__


# --- writing -----------------------------------------------------------------------------------


def write_rows(
    problems: Iterable[Problem],
    path: str | os.PathLike[str],
    make: Callable[[Problem], _Made],
    join: Callable[[list[_Made]], str],
    read: Callable[[_Made], Problem] | None = None,
) -> None:
    """Write what `make` makes of each problem, if `read` gives the problem back."""
    rows = []
    for index, problem in enumerate(problems):
        with placed(f"problem {index}"):
            check_problem(problem)
            rows.append(make(problem))
            if read and read(rows[-1]) != problem:
                raise ProblemError("this format cannot hold it as it is; use write_json")
    write_text(path, join(rows))


@checks_kinds(ProblemError)
def write_json(problems: Iterable[Problem], path: str | os.PathLike[str]) -> None:
    """Write problems as Coconut's JSON, as published byte for byte; whole or not at all.

    Args:
        problems: any problems; those with a graph get its keys too.
        path: the file to make or replace; its folder must exist.

    Raises:
        ProblemError: a problem that `load_problems` would refuse (with its index).
        OSError: the file cannot be written; an old one is left as it was.
    """
    write_rows(problems, path, _row_of, json.dumps)


def _row_of(problem: Problem) -> dict[str, Any]:
    row: dict[str, Any] = {
        "question": problem.question,
        "answer": problem.answer,
        "steps": problem.steps,
    }
    graph = problem.graph
    if graph is not None:
        values = (graph.names, graph.edges, graph.root, graph.target, graph.distractor)
        row.update(zip(_GraphOfRow.model_fields, values, strict=True))
    return row

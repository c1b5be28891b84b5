"""The two notations of a reasoning problem: English sentences and symbols.

Both say the same three things: facts (every parent is a child), the two options of the question,
and who is asked about. This module turns text into a `Statement` and back. It knows nothing of
graphs; `problems.py` builds on it.

    English    Every yumpus is a rempus. Tom is a yumpus. Is Tom a lempus or scrompus?
    symbols    | yumpus rempus | Tom yumpus [Q] lempus scrompus [R] Tom
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from coconut_lab.errors import ShortError, checks_kinds

FACT, QUESTION, ROOT = "|", "[Q]", "[R]"
# Words that mean something to a tokenizer or to the notation, so no node may have them as a name.
RESERVED = frozenset({FACT, QUESTION, ROOT, "###", "<bot>", "<eot>", "<thought>"})

_MARK = re.compile(r"\||\[Q\]|\[R\]")
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+")
_EVERY = re.compile(r"every\s+(\S+)\s+is\s+an?\s+(\S+)", re.IGNORECASE)
_ENTITY = re.compile(r"(\S+)\s+is\s+an?\s+(\S+)")
_ASK = re.compile(r"is\s+(\S+)\s+an?\s+(\S+?),?\s+or\s+(?:an?\s+)?(\S+)", re.IGNORECASE)


class ProblemError(ShortError, ValueError):
    """A problem, a graph or a file of problems is not well formed; the message names the place."""


@contextmanager
def placed(place: object) -> Iterator[None]:
    """Put a place before the message of a ProblemError."""
    try:
        yield
    except ProblemError as error:
        raise ProblemError(f"{place}: {error}") from None


@dataclass(frozen=True)
class Statement:
    """What the text of a question says, free of notation."""

    facts: tuple[tuple[str, str], ...]  # (parent, child), in the order in which they are stated
    options: tuple[str, str]  # the two possible answers, in the order in which they are offered
    asked: str  # the name that the question asks about


@lru_cache(maxsize=4096)
def word_fault(name: str) -> str | None:
    """Say why a node cannot have this name in either notation, or None when it can."""
    if not name:
        return "is empty"
    if name.split() != [name]:
        return "contains white space"
    if _MARK.search(name) or name in RESERVED:
        return "is or contains a reserved mark"
    if name[-1] in ".,?!":
        return f"ends in {name[-1]!r}, which ends a sentence"
    return None


def is_symbolic(text: str) -> bool:
    """Tell the notations apart: only the symbolic one has the marks `|`, `[Q]`, `[R]`."""
    return _MARK.search(text) is not None


@checks_kinds(ProblemError)
def read_statement(text: str) -> Statement:
    """Read a question with its facts in either notation; lines and blanks do not matter.

    Raises:
        ProblemError: something is malformed; the message says which fact or which part.
    """
    statement = _read_symbols(text) if is_symbolic(text) else _read_english(text)
    places = [(f"fact {n}", name) for n, fact in enumerate(statement.facts, 1) for name in fact]
    places += [("the question", name) for name in (*statement.options, statement.asked)]
    for place, name in places:
        fault = word_fault(name)
        if fault:
            raise ProblemError(f"{place}: the name {name!r} {fault}")
    return statement


def _read_symbols(text: str) -> Statement:
    # Marks may touch a word ("|a b"), as a learner types them; names never contain a mark.
    for mark in (QUESTION, ROOT):
        if text.count(mark) != 1:
            raise ProblemError(f"the question needs {mark} exactly once, found {text.count(mark)}")
    stated, question = text.split(QUESTION)
    if ROOT in stated:
        raise ProblemError(f"{ROOT} comes before {QUESTION}; write {QUESTION} x y {ROOT} root")
    options, asked = map(str.split, question.split(ROOT))
    if len(options) != 2:
        raise ProblemError(f"{QUESTION} needs two options, found {len(options)}: {options}")
    if len(asked) != 1:
        raise ProblemError(f"{ROOT} needs one name, found {len(asked)}: {asked}")
    before, *facts = map(str.split, stated.split(FACT))
    if before:
        raise ProblemError(f"fact 1 starts with {before[0]!r}; write | parent child")
    for number, fact in enumerate(facts, start=1):
        if len(fact) != 2:
            raise ProblemError(f"fact {number} has {len(fact)} names {fact}; write | parent child")
    return Statement(
        tuple((parent, child) for parent, child in facts), (options[0], options[1]), asked[0]
    )


def _read_english(text: str) -> Statement:
    facts: list[tuple[str, str]] = []
    asked: re.Match[str] | None = None
    for sentence in split_sentences(text):
        fact = read_sentence(sentence)
        if fact:
            facts.append(fact)
            continue
        question = _ASK.fullmatch(sentence.rstrip(".?! "))
        if question is None:
            raise ProblemError(
                f"cannot read {sentence!r}, after fact {len(facts)}; write 'Tom is a x.', "
                "'Every x is a y.', and once 'Is Tom a x or y?'"
            )
        if asked is not None:
            raise ProblemError(f"a second question, {sentence!r}; ask one only")
        asked = question
    if asked is None:
        raise ProblemError("there is no question; end with 'Is Tom a x or y?'")
    return Statement(tuple(facts), (asked[2], asked[3]), asked[1])


def split_sentences(text: str) -> list[str]:
    """Cut a text after full stops, question and exclamation marks, and at the ends of lines."""
    lines = map(str.strip, text.split("\n"))
    return [sentence for line in lines for sentence in _SENTENCE_END.split(line) if sentence]


def read_sentence(sentence: str) -> tuple[str, str] | None:
    """Read "Tom is a yumpus." or "Every yumpus is a rempus." as (parent, child), else None."""
    bare = sentence.strip().rstrip(".!")
    match = _EVERY.fullmatch(bare) or _ENTITY.fullmatch(bare)
    return (match[1], match[2]) if match else None


def write_sentence(parent: str, child: str, is_entity: bool) -> str:
    """Write one English fact or step, as published: an entity has no "Every"."""
    return f"{parent} is a {child}." if is_entity else f"Every {parent} is a {child}."


def write_english(statement: Statement) -> str:
    """Write a question as the published sentences; a name that is nobody's child is an entity."""
    children = {child for _, child in statement.facts}
    facts = [write_sentence(a, b, a not in children) for a, b in statement.facts]
    first, second = statement.options
    return " ".join([*facts, f"Is {statement.asked} a {first} or {second}?"])


@checks_kinds(ProblemError)
def write_symbols(statement: Statement) -> str:
    """Write a question in symbols: `| parent child … [Q] option option [R] root`."""
    facts = [f"{FACT} {parent} {child}" for parent, child in statement.facts]
    return " ".join([*facts, QUESTION, *statement.options, ROOT, statement.asked])

"""The checks of 01's exercises 1, 2 and 3: which inputs are latent, chains, exact arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from coconut_lab.checks.base import CheckFailed, call, compare_lists, passed


class Case(NamedTuple):
    """Arguments, the right answer, and what to say when a function gives the other one."""

    arguments: tuple[Any, ...]
    right: bool
    message: str


def _yes_or_no(name: str, function: Callable[..., Any], cases: Sequence[Case]) -> None:
    """Ask a yes-or-no function every case; the first that it gets wrong names the mistake."""
    for case in cases:
        copies = [list(value) if isinstance(value, list) else value for value in case.arguments]
        said = call(name, function, *copies)
        if not isinstance(said, bool):
            raise CheckFailed(
                f"{name} should return True or False, not {type(said).__name__} ({str(said)[:40]})."
            )
        if said != case.right:
            raise CheckFailed(f"{name}: {case.message}")


# --- exercise 1 --------------------------------------------------------------------------------

QUESTION = "| Tom yumpus | yumpus rempus [Q] rempus lempus [R] Tom"
ROWS = (
    f"{QUESTION} yumpus rempus ### rempus",  # no markers
    f"{QUESTION} <bot> <eot> yumpus rempus ### rempus",  # stage 0
    f"{QUESTION} <bot> <thought> <thought> <thought> <eot> rempus ### rempus",
    f"{QUESTION} <bot> <thought> <eot> ### rempus",
    f"{QUESTION} <bot> <thought> <thought>",  # still thinking
)
Source = int | None


def _sources(tokens: list[str]) -> list[Source]:
    return [at - 1 if token == "<thought>" else None for at, token in enumerate(tokens)]


def _between(tokens: list[str], first: int, last: int) -> list[Source]:
    """The right rule, but latent from `first` after <bot> to `last` after the last thought."""
    thoughts = [at for at, token in enumerate(tokens) if token == "<thought>"]
    bot = tokens.index("<bot>") if "<bot>" in tokens else None
    end = max(thoughts, default=bot if bot is not None else -1)
    return [
        at - 1 if bot is not None and bot + first <= at <= end + last else None
        for at in range(len(tokens))
    ]


_SOURCE_MISTAKES: tuple[tuple[str, Callable[[list[str]], list[Source]]], ...] = (
    (
        "<bot> does not get a hidden state. It is a token like any other, and its embedding goes "
        "in; what comes out of it is the first thought",
        lambda tokens: _between(tokens, 0, 0),
    ),
    (
        "<eot> does not get a hidden state. Latent mode is over there: its embedding goes in",
        lambda tokens: _between(tokens, 1, 1),
    ),
    (
        "neither <bot> nor <eot> gets a hidden state. Both are tokens, and their embeddings go in",
        lambda tokens: _between(tokens, 0, 1),
    ),
    (
        "the first thought is missing: the first placeholder gets the hidden state of <bot>",
        lambda tokens: _between(tokens, 2, 0),
    ),
    (
        "off by one: a placeholder gets the hidden state of the position before it. Its own comes "
        "out only after something went in",
        lambda tokens: [None if s is None else s + 1 for s in _sources(tokens)],
    ),
    (
        "every thought comes from <bot> here. Only the first does; each later one is the hidden "
        "state of the thought before it",
        lambda tokens: [
            None if s is None else tokens.index("<bot>") for s in _sources(tokens)
        ],
    ),
    (
        "you marked where a hidden state is taken, not where it goes in: one position too early",
        lambda tokens: [
            at if token == "<thought>" else None
            for at, token in enumerate([*tokens[1:], ""])
        ],
    ),
    (
        "everything after <bot> is taken for latent. From <eot> on it is language mode again",
        lambda tokens: [
            at - 1 if "<bot>" in tokens[:at] else None for at in range(len(tokens))
        ],
    ),
    (
        "positions count from 0 here, so the hidden state of <bot> has the index of <bot>, and the "
        "index of the placeholder less one",
        lambda tokens: [
            None if s is None else s - tokens.index("<bot>") for s in _sources(tokens)
        ],
    ),
)  # fmt: skip


def fed_from(function: Callable[..., Any]) -> None:
    """Check exercise 1: where each input of a row comes from.

    Args:
        function: `(tokens)`, a list of words, to a list: for each position None where an embedding
            goes in, else the position whose hidden state goes in.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "fed_from"
    rows = [row.split() for row in ROWS]
    given = []
    for tokens in rows:
        result = call(name, function, list(tokens))
        if not isinstance(result, (list, tuple)):
            raise CheckFailed(f"{name} should return a list, not {type(result).__name__}.")
        if len(result) != len(tokens):
            raise CheckFailed(
                f"{name}: the list should have one entry per token, so {len(tokens)}, "
                f"not {len(result)}."
            )
        for at, entry in enumerate(result):
            if entry is not None and (isinstance(entry, bool) or not isinstance(entry, int)):
                raise CheckFailed(
                    f"{name}: an entry should be None or the number of a position; entry {at} is "
                    f"{entry!r}."
                )
        given.append(list(result))
    want = [_sources(tokens) for tokens in rows]
    mistakes = [
        (message, [mistake(tokens) for tokens in rows]) for message, mistake in _SOURCE_MISTAKES
    ]

    def located(at: int) -> str:
        place = next(i for i, (a, b) in enumerate(zip(given[at], want[at], strict=True)) if a != b)
        return (
            f"in the row '… {' '.join(rows[at][11:])}', entry {place} ({rows[at][place]}) is "
            f"{given[at][place]}, it should be {want[at][place]}"
        )

    compare_lists(name, given, want, mistakes, located)
    passed(name, "a hidden state goes in at placeholders only, that of the position before")


# --- exercise 2 --------------------------------------------------------------------------------

FACTS = [
    ("Tom", "yumpus"),
    ("Tom", "dumpus"),
    ("yumpus", "rempus"),
    ("dumpus", "rempus"),
    ("rempus", "lempus"),
    ("Max", "numpus"),
    ("numpus", "lempus"),
    ("dumpus", "terpus"),
    ("numpus", "terpus"),
    ("Tom", "gerpus"),
    ("gerpus", "dumpus"),
]


def _chain(steps: str, answer: str, right: bool, message: str) -> Case:
    return Case((list(FACTS), "Tom", answer, tuple(steps.split())), right, f"{message}.")


CHAINS = (
    _chain(
        "yumpus rempus lempus", "lempus", True,
        "it says False for a good chain: Tom → yumpus → rempus → lempus, every edge stated. A fact "
        "(parent, child) is used from parent to child, and the chain starts at who is asked about",
    ),
    _chain("yumpus", "yumpus", True, "it says False for a good chain of one step, Tom → yumpus"),
    _chain(
        "gerpus dumpus terpus", "terpus", True,
        "it says False for a good chain because a shorter one exists. Only the edges and the end "
        "count, not the length",
    ),
    _chain(
        "numpus lempus", "lempus", False,
        "the first edge is not checked. The first step leads from who is asked about, here Tom, "
        "to numpus, and no fact says that Tom is a numpus",
    ),
    _chain(
        "lempus", "lempus", False,
        "it says True for Tom → lempus, a chain that jumps over hops. That lempus can be reached "
        "is not enough: each step is one stated fact",
    ),
    _chain(
        "yumpus numpus lempus", "lempus", False,
        "it says True although yumpus → numpus is no fact. Only the ends of the chain seem to be "
        "checked; every edge has to be stated",
    ),
    _chain(
        "yumpus rempus dumpus terpus", "terpus", False,
        "it takes an edge in the wrong direction: rempus → dumpus, but the fact is that every "
        "dumpus is a rempus",
    ),
    _chain(
        "yumpus rempus", "lempus", False,
        "the end is not checked: the chain ends at rempus, the answer is lempus",
    ),
    _chain("", "lempus", False, "it says True for a chain without steps; nothing leads to lempus"),
)  # fmt: skip


def chain_holds(function: Callable[..., Any]) -> None:
    """Check exercise 2: does a chain follow from the facts?

    Args:
        function: `(facts, asked, answer, steps)`, pairs (parent, child) and names, to a bool.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "chain_holds"
    _yes_or_no(name, function, CHAINS)
    passed(name, "every edge stated, from who is asked about to the answer")


# --- exercise 3 --------------------------------------------------------------------------------

STEPS = (
    ("<<3*60=180>>", True, "it says False for <<3*60=180>>"),
    ("<<12-5=8>>", False, "it says True for <<12-5=8>>, which is 7"),
    ("<<5-8=-3>>", True, "a result may be negative: <<5-8=-3>> is right"),
    (
        "<<1,250*4=5,000>>", True,
        "a comma is a thousands separator, on both sides: 1,250 is 1250",
    ),
    (
        "<<.1+.2=.3>>", True,
        "floating point: 0.1 + 0.2 == 0.3 is False for floats, yet <<.1+.2=.3>> is right. Compute "
        "with Fraction, made from the text",
    ),
    (
        "<<15%*80=1200>>", False,
        "the percent sign is dropped: 15% is 15/100, so 15% * 80 is 12, not 1200",
    ),
    (
        "<<15%*80=12>>", True,
        "% is percent: 15% is 15/100, so <<15%*80=12>> is right",
    ),
    ("<<1/4=25%>>", True, "the result may carry a percent sign too: 1/4 is 25%"),
    (
        "<<7/2=3>>", False,
        "the division is cut to a whole number: 7/2 is 3.5, not 3. Use / on fractions, not //",
    ),
    (
        "<<10/3=3.33>>", False,
        "it compares rounded values: 10/3 is not 3.33. (The package counts this step as holding "
        "'as rounded'; here only exact steps hold)",
    ),
    (
        "<<10000000000+1=10000000000>>", False,
        "it compares with a tolerance. 10000000000 + 1 is not 10000000000; an exact value needs no "
        "tolerance",
    ),
    (
        "<<1/3=.3333333333333333>>", False,
        "floating point: 1/3 is not .3333333333333333, though the nearest float is the same. "
        "Compute with Fraction, made from the text",
    ),
)  # fmt: skip


def step_holds(function: Callable[..., Any]) -> None:
    """Check exercise 3: is a step of GSM8K exactly right?

    Args:
        function: `(step)`, such as `<<3*60=180>>` with one operation, to a bool.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "step_holds"
    cases = [Case((step,), right, f"{message}.") for step, right, message in STEPS]
    _yes_or_no(name, function, cases)
    passed(name, "recomputed exactly, with commas, percent, decimals and signs")

"""The check of 09's exercise 2: is the number right that a model wrote?"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from coconut_lab.checks.base import CheckFailed, Function, call, passed
from coconut_lab.checks.blame import Slip, blame

#: What a model wrote, and the answer in the file.
CASES = (
    ("<<2*6=12>>\n### 12", "12"),
    ("<<2*6=12>>\n<<12+3=15>>\n### 15", "5"),
    ("<<9-4=5>>\n### 5", "15"),
    ("### 1,000", "1000"),
    ("### 18000", "18,000"),
    ("<<500*2=1000>>\n### 1", "1,000"),
    ("### 3.0", "3"),
    ("### 3.50", "3.5"),
    ("<<15/4=3.75>>\n### 3.75", "3"),
    ("### 3", "3.75"),
    ("### $42", "42"),
    ("### 42 dollars", "42"),
    ("<<6*7=42>>\n### 42 dollars in 6 days", "42"),
    ("### 20%", "20"),
    ("<<3-7=-4>>\n### -4", "-4"),
    ("<<7-3=4>>\n### -4", "4"),
    ("### 7.", "7"),
    ("<<2+5=7>>\n### 8", "7"),
    ("<<7+1=8>>\n### 8", "7"),
    ("### nothing", "0"),
    ("", "3"),
)

_NUMBER = r"-?\d[\d,]*(?:\.\d+)?"


def _first(text: str, pattern: str = _NUMBER, last: bool = False) -> Fraction | None:
    found = re.findall(pattern, text)
    return Fraction(found[-1 if last else 0].replace(",", "")) if found else None


def _behind(text: str) -> str:
    return text.rpartition("###")[2]


def _same(
    written: str, answer: str, read: Callable[[str], Any] = lambda text: _first(_behind(text))
) -> bool:
    got, want = read(written), _first(answer)
    return got is not None and got == want


def _cut(written: str, answer: str) -> bool:
    got, want = _first(_behind(written)), _first(answer)
    return got is not None and want is not None and int(got) == int(want)


def _no_commas(written: str, answer: str) -> bool:
    pattern = r"-?\d+(?:\.\d+)?"
    got, want = _first(_behind(written), pattern), _first(answer, pattern)
    return got is not None and got == want


def _unsigned(written: str, answer: str) -> bool:
    got, want = _first(_behind(written)), _first(answer)
    return got is not None and want is not None and abs(got) == abs(want)


def _whole(text: str) -> Fraction | None:
    try:
        return Fraction(_behind(text).strip().rstrip(".").replace(",", ""))
    except ValueError:
        return None


_SLIPS = (
    Slip(
        "you compare texts: '3.0' and '3', or '1,000' and '1000', are one number written in two "
        "ways. Turn both sides into numbers first.",
        lambda written, answer: _behind(written).strip() == answer,
    ),
    Slip(
        "you look for the answer somewhere in the text: then 5 is found in 15. Take the number "
        "behind ### and compare it as a whole.",
        lambda written, answer: answer in written,
    ),
    Slip(
        "you look for the answer somewhere behind ###: then 5 is found in 15. Compare numbers.",
        lambda written, answer: answer in _behind(written),
    ),
    Slip(
        "you take the first number that was written. It stands in a step; the answer stands "
        "behind ###.",
        lambda written, answer: _same(written, answer, _first),
    ),
    Slip(
        "you take the last number of the text. '42 dollars in 6 days' answers 42: the first "
        "number behind ### counts.",
        lambda written, answer: _same(written, answer, lambda text: _first(text, last=True)),
    ),
    Slip(
        "your numbers end at a comma: 1,000 is read as 1. Take the commas out before you convert.",
        _no_commas,
    ),
    Slip(
        "you cut decimals off, as int() does: 3.75 is not 3. Use Fraction, Decimal or float.",
        _cut,
    ),
    Slip("the sign gets lost: -4 is not 4.", _unsigned),
    Slip(
        "a unit makes an answer wrong in your code: '$42', '42 dollars' and '20%' are numbers "
        "with something around them. Look for the number, and leave the rest.",
        lambda written, answer: _same(written, answer, _whole),
    ),
)


def same_number(function: Function) -> None:
    """Check exercise 2: compare what was written with an answer, as numbers.

    Args:
        function: `(written, answer)`, two texts, to whether the number behind `###` is the answer.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "same_number"
    got = []
    for case in CASES:
        value = call(name, function, *case)
        if type(value).__name__ not in ("bool", "bool_"):
            raise CheckFailed(
                f"{name} should return True or False, not {type(value).__name__} "
                f"({str(value)[:40]})."
            )
        got.append(bool(value))
    blame(name, CASES, got, _same, _SLIPS, _describe)
    passed(name, f"{len(CASES)} answers are graded right")


def _describe(case: tuple[Any, ...], got: bool, want: bool) -> str:
    written, answer = case
    return (
        f"a model wrote {written!r}, the answer is {answer!r}: that is "
        f"{'right' if want else 'wrong'}, your function says it is {'right' if got else 'wrong'}."
    )

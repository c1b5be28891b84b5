"""Exact arithmetic of steps such as `<<3*60=180>>`: fractions, never floating point.

Numbers may have decimals (`.5`), thousands commas (`1,200`), a dollar sign and a percent sign
(`15%` is 15/100). Operations are `+ - * /`, brackets and signs; `×`, `÷`, `−`, and an `x` between
two numbers, are read as the operations they mean.

Rounding. A result written with decimals holds if the exact value, rounded to as many decimals,
gives it, a half either up or to the even digit. A whole number must be exact: `10/3=3.33` holds
as rounded, `10/3=3` does not.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from coconut_lab.tasks.notation import ProblemError

#: A longer expression is a damaged file, not a step of a problem.
LONGEST = 1000

_STEP = re.compile(r"<<\s*(?P<left>[^<>=]+?)\s*=\s*(?P<right>[^<>=]+?)\s*>>")
_WHOLE = r"(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)"
_DECIMAL = rf"(?:{_WHOLE}(?:\.\d*)?|\.\d+)"
_NUMBER = re.compile(rf"(?:(?<!\d)\$\s*)?(?P<digits>{_DECIMAL})(?P<percent>\s*%)?")
# A number as people write an answer: its sign, a currency, a fraction or a mixed number.
_WRITTEN = re.compile(
    rf"""
    (?P<sign>(?<![\w.)])[-\u2212]\s?)?   # a minus after a digit, word or bracket is no sign
    (?:[$€£¥]\s?)?
    (?P<sign2>(?<=[$€£¥])[-\u2212])?
    (?:
        (?:(?P<whole>{_WHOLE})\s+)?(?P<over>{_WHOLE})\s?/\s?(?P<under>\d+)(?![\d/])
      | (?P<decimal>{_DECIMAL})
    )
    """,
    re.VERBOSE,
)
_SAME = str.maketrans({"×": "*", "÷": "/", "−": "-"})
# Between two numbers an x is a sign; elsewhere it is an unknown, which nothing here can compute.
_TIMES = re.compile(r"(?<=[\d)%])\s*[xX]\s*(?=[\d(.$])")
_ODD = re.compile(r"[^-+*/()0 ]")
_OPERATIONS: dict[type[ast.AST], Callable[..., Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


@dataclass(frozen=True)
class Equation:
    """One step, recomputed."""

    left: str  # the expression, as written
    right: str  # the result, as written
    value: Fraction  # of the expression, exactly
    holds: bool  # the result is right, exactly or rounded
    rounded: bool  # it is right only as rounded


def split_equation(step: str) -> tuple[str, str]:
    """Take a step such as `<<3*60=180>>` apart; ProblemError where it is no such equation."""
    match = _STEP.fullmatch(step.strip())
    if match is None:
        raise ProblemError(f"{step[:60]!r} is no equation; write <<3*60=180>>")
    return match["left"], match["right"]


def read_equation(step: str) -> Equation:
    """Recompute a step exactly; ProblemError if it cannot be read or divides by zero."""
    left, right = split_equation(step)
    value, stated = evaluate(left), evaluate(right)
    rounded = value != stated and stated in _rounded(value, right)
    return Equation(left, right, value, value == stated or rounded, rounded)


def _rounded(value: Fraction, written: str) -> set[Fraction]:
    """What the value may be rounded to, given how many decimals were written."""
    match = _NUMBER.fullmatch(written.lstrip("-").strip())
    decimals = match["digits"].partition(".")[2] if match else ""
    if not match or not decimals:
        return set()
    unit = Fraction(1, 10 ** (len(decimals) + 2 * bool(match["percent"])))
    even = round(value / unit) * unit  # Python rounds a half to the even digit
    away = (abs(value) / unit + Fraction(1, 2)) // 1 * unit
    return {even, away if value >= 0 else -away}


def evaluate(text: str) -> Fraction:
    """Compute `(1/2)*80` or `15%` exactly; ProblemError if it cannot be read or divides by zero."""
    if len(text) > LONGEST:
        raise ProblemError(f"an expression of {len(text):,} characters is no step of a problem")
    tidy = " ".join(_TIMES.sub("*", text.translate(_SAME)).split())
    # Python's own grammar reads the operations; each number is marked by a 0 in its place.
    marked = _NUMBER.sub(lambda match: "0".ljust(len(match[0])), tidy)
    odd = _ODD.search(marked)
    if odd:
        raise ProblemError(f"cannot read {tidy[odd.start() :][:20]!r} in {text[:60]!r}")
    try:
        return _value(ast.parse(marked, mode="eval").body, tidy)
    except ZeroDivisionError:
        raise ProblemError(f"{text[:60]!r} divides by zero") from None
    except (SyntaxError, LookupError, RecursionError, MemoryError):
        raise ProblemError(
            f"cannot read {text[:60]!r}: a number, an operation or a bracket is missing"
        ) from None


def _value(node: ast.expr, text: str) -> Fraction:
    match node:
        case ast.Constant():
            return _read(next(_NUMBER.finditer(text, node.col_offset)))
        case ast.BinOp():
            left, right = _value(node.left, text), _value(node.right, text)
            return _OPERATIONS[type(node.op)](left, right)
        case ast.UnaryOp():
            return _OPERATIONS[type(node.op)](_value(node.operand, text))
    raise LookupError(f"no operation of arithmetic: {node}")


def number(text: str) -> Fraction | None:
    """Read one number, such as `1,200`, `.5`, `$3` or `15%`; None if it is no number."""
    text = text.strip()
    match = _NUMBER.fullmatch(text.removeprefix("-").strip())
    if match is None:
        return None
    return -_read(match) if text.startswith("-") else _read(match)


def numbers_in(text: str) -> list[Fraction]:
    """List the numbers that a text mentions in digits, in order."""
    return [_read(match) for match in _NUMBER.finditer(text)]


def _read(match: re.Match[str]) -> Fraction:
    return _plain(match["digits"]) / (100 if match["percent"] else 1)


def _plain(digits: str) -> Fraction:
    return Fraction(digits.replace(",", "").rstrip("."))


def numbers_of_answer(text: str) -> list[Fraction | None]:
    """List the numbers that an answer mentions, in order; None for a fraction over zero."""
    return [_read_written(match) for match in _WRITTEN.finditer(text)]


def _read_written(match: re.Match[str]) -> Fraction | None:
    if match["decimal"]:
        size = _plain(match["decimal"])
    elif int(match["under"]) == 0:
        return None
    else:
        size = _plain(match["whole"] or "0") + _plain(match["over"]) / int(match["under"])
    return -size if match["sign"] or match["sign2"] else size


def write_number(value: Fraction) -> str:
    """Write a number with as few decimals as are exact, else as a fraction."""
    tries = range(value.denominator.bit_length())
    decimals = next((n for n in tries if 10**n % value.denominator == 0), 0)
    if not decimals:
        return str(value)
    whole, part = divmod(abs(value) * 10**decimals, 10**decimals)
    return f"{'-' if value < 0 else ''}{whole}.{int(part):0{decimals}}"

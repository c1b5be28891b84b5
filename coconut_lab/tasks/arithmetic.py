"""Exact arithmetic of steps such as `<<3*60=180>>`: fractions, never floating point.

Numbers may have decimals (`.5`), thousands commas (`1,200`), a dollar sign and a percent sign
(`15%` is 15/100). Operations are `+ - * /`, brackets and signs; `×`, `÷`, `−`, and an `x` between
two numbers, are read as the operations they stand for.

Rounding. A result written with decimals holds if the exact value, rounded to as many decimals,
gives it, a half either up or to the even digit. A whole number must be exact: `10/3=3.33` holds
as rounded, `10/3=3` does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from coconut_lab.tasks.notation import ProblemError

#: Longer or deeper expressions are a damaged file, not a step of a problem.
LONGEST, DEEPEST = 1000, 50

_STEP = re.compile(r"<<\s*(?P<left>[^<>=]+?)\s*=\s*(?P<right>[^<>=]+?)\s*>>")
_NUMBER = re.compile(
    r"\$?\s*(?P<digits>\d+(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+)(?P<percent>\s*%)?"
)
_TOKEN = re.compile(rf"\s*(?:(?P<number>{_NUMBER.pattern})|(?P<mark>[-+*/()]))")
_SAME = str.maketrans({"×": "*", "÷": "/", "−": "-"})
# Between two numbers an x is a sign; elsewhere it is an unknown, which nothing here can compute.
_TIMES = re.compile(r"(?<=[\d)%])\s*[xX]\s*(?=[\d(.$])")


@dataclass(frozen=True)
class Equation:
    """One step, recomputed.

    Attributes:
        left: the expression, as written.
        right: the result, as written.
        value: the exact value of the expression.
        stated: the value of the result.
        holds: whether the result is right, exactly or rounded.
        rounded: whether it holds only as rounded.
    """

    left: str
    right: str
    value: Fraction
    stated: Fraction
    holds: bool
    rounded: bool


def split_equation(step: str) -> tuple[str, str]:
    """Take a step such as `<<3*60=180>>` apart.

    Returns:
        Its two sides, as written.

    Raises:
        ProblemError: it is no equation of this form.
    """
    match = _STEP.fullmatch(step.strip())
    if match is None:
        raise ProblemError(f"{step[:60]!r} is no equation; write <<3*60=180>>")
    return match["left"], match["right"]


def read_equation(step: str) -> Equation:
    """Recompute a step exactly.

    Args:
        step: such as `<<3*60=180>>`.

    Returns:
        Both sides and whether they agree.

    Raises:
        ProblemError: it is no equation, a side cannot be read, or it divides by zero.
    """
    left, right = split_equation(step)
    value, stated = evaluate(left), evaluate(right)
    rounded = value != stated and stated in _rounded(value, right)
    return Equation(left, right, value, stated, value == stated or rounded, rounded)


def _rounded(value: Fraction, written: str) -> set[Fraction]:
    """What the value may be rounded to, given how many decimals were written."""
    match = _NUMBER.fullmatch(written.strip().lstrip("-").strip())
    if match is None or "." not in match["digits"]:
        return set()
    places = len(match["digits"].partition(".")[2]) + 2 * bool(match["percent"])
    unit = Fraction(1, 10**places)
    even = round(value / unit) * unit  # Python rounds a half to the even digit
    away = (abs(value) / unit + Fraction(1, 2)) // 1 * unit
    return {even, away if value >= 0 else -away} if places > 2 * bool(match["percent"]) else set()


def evaluate(text: str) -> Fraction:
    """Compute an expression exactly.

    Args:
        text: such as `(1/2)*80` or `15%`.

    Returns:
        Its value.

    Raises:
        ProblemError: it cannot be read, or divides by zero.
    """
    if len(text) > LONGEST:
        raise ProblemError(f"an expression of {len(text):,} characters is no step of a problem")
    tokens: list[Fraction | str] = []
    rest = _TIMES.sub("*", text.translate(_SAME)).strip()
    place = 0
    while place < len(rest):
        match = _TOKEN.match(rest, place)
        if match is None:
            raise ProblemError(f"cannot read {rest[place:][:20]!r} in {text[:60]!r}")
        tokens.append(match["mark"] or number(match["number"]))
        place = match.end()
    reader = _Reader(tokens, text[:60])
    value = reader.total()
    if reader.tokens:
        raise ProblemError(f"cannot read {text[:60]!r}: an operation is missing between two terms")
    return value


def number(text: str) -> Fraction:
    """Read one number, such as `1,200`, `.5`, `$3` or `15%`.

    Raises:
        ProblemError: it is no number.
    """
    match = _NUMBER.fullmatch(text.strip().removeprefix("-").strip())
    if match is None:
        raise ProblemError(f"{text[:60]!r} is no number")
    value = Fraction(match["digits"].replace(",", "").rstrip("."))
    value = value / 100 if match["percent"] else value
    return -value if text.strip().startswith("-") else value


def numbers_in(text: str) -> list[Fraction]:
    """List the numbers that a text mentions in digits, in order."""
    return [number(match.group()) for match in _NUMBER.finditer(text)]


def write_number(value: Fraction) -> str:
    """Write a number with as few decimals as are exact, else as a fraction."""
    whole, scale = value.denominator, 0
    while whole % 10 == 0 or whole % 5 == 0 or whole % 2 == 0:
        whole = whole // 10 if whole % 10 == 0 else whole // 5 if whole % 5 == 0 else whole // 2
        scale += 1
    if whole != 1:
        return f"{value.numerator}/{value.denominator}"
    if not scale:
        return str(value.numerator)
    digits = str(abs(value) * 10**scale).rjust(scale + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-scale]}.{digits[-scale:]}".rstrip("0").rstrip(".")


class _Reader:
    """Reads tokens by the usual rules: signs and brackets, then `* /`, then `+ -`."""

    def __init__(self, tokens: list[Fraction | str], text: str) -> None:
        self.tokens = tokens
        self.text = text
        self.depth = 0

    def total(self) -> Fraction:
        value = self.product()
        while self.tokens and self.tokens[0] in ("+", "-"):
            sign = self.tokens.pop(0)
            term = self.product()
            value = value + term if sign == "+" else value - term
        return value

    def product(self) -> Fraction:
        value = self.factor()
        while self.tokens and self.tokens[0] in ("*", "/"):
            sign = self.tokens.pop(0)
            term = self.factor()
            if sign == "/" and not term:
                raise ProblemError(f"{self.text!r} divides by zero")
            value = value * term if sign == "*" else value / term
        return value

    def factor(self) -> Fraction:
        sign = 1
        while self.tokens and self.tokens[0] in ("+", "-"):
            sign = -sign if self.tokens.pop(0) == "-" else sign
        token = self.tokens.pop(0) if self.tokens else None
        if isinstance(token, Fraction):
            return sign * token
        if token != "(":
            found = "nothing" if token is None else repr(token)
            raise ProblemError(f"cannot read {self.text!r}: found {found} where a number belongs")
        self.depth += 1
        if self.depth > DEEPEST:
            raise ProblemError(f"more than {DEEPEST} brackets are open at once in {self.text!r}")
        value = self.total()
        self.depth -= 1
        if not self.tokens or self.tokens.pop(0) != ")":
            raise ProblemError(f"cannot read {self.text!r}: a bracket is not closed")
        return sign * value

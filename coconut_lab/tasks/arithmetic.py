"""Exact arithmetic of steps such as `<<3*60=180>>`: fractions, never floating point.

Numbers may have decimals (`.5`), grouped thousands (`1,200`), an exponent (`6.2e+20`), a dollar
sign and a percent sign (`15%` is 15/100). Operations are `+ - * /`, brackets and signs; `×`, `÷`,
`−`, and an `x` between two numbers, are read as the operations they mean.

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

#: A longer expression is a damaged file, not a step of a problem; no number has more digits.
LONGEST = 1000

# Digits and what may stand between them: one number, or several without a space.
_SPACES = "\u00a0\u2009\u202f"
_RUN = rf"(?:\d+|(?<!\w)\.\d+)(?:[.,_'’{_SPACES}]\d+)*(?:\.?[eE][-+]?\d+|\.)?"
# A run that is one number, as English, German, French and Swiss spreadsheets and Python write it.
_ONE = re.compile(
    rf"""
    (?: \d{{1,3}}(?:,\d{{3}})+(?:\.\d*)?
      | \d{{1,3}}(?:\.\d{{3}})+,\d+ | \d{{1,3}}(?:\.\d{{3}}){{2,}}
      | \d{{1,3}}(?:['’{_SPACES}]\d{{3}})+(?:[.,]\d+)?
      | \d+(?:_\d+)*(?:\.\d*)? | \.\d+
    )(?:[eE][-+]?\d+)?""",
    re.VERBOSE,
)
_PART = re.compile(r"(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?")
_NUMBER = re.compile(rf"(?:(?<!\d)\$\s*)?(?P<run>{_RUN})(?P<percent>\s*%)?")
# A number as people write an answer: its sign, a currency, a fraction or a mixed number.
_WRITTEN = re.compile(
    rf"""
    (?P<sign>(?<![\w.)])-\s?)?   # a minus after a digit, word or bracket is no sign
    (?:[$€£¥]\s?)?
    (?P<sign2>(?<=[$€£¥])-)?
    (?:
        (?:(?P<whole>{_RUN})\s+)?(?P<over>{_RUN})\s?/\s?(?P<under>\d+)(?![\d/])
      | (?P<hex>0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+)\b
      | (?P<run>{_RUN})(?:\s?[×x*]\s?10(?:\^|\*\*)(?P<power>-?\d+))?
    )
    """,
    re.VERBOSE,
)
# A loss in a balance sheet, such as ($1,200); and what Python puts around a number, as float64(3).
_LOSS = re.compile(rf"[$€£¥]?\s?\(\s?[$€£¥]?\s?({_RUN})\s?\)")
_CALL = re.compile(r"\b[A-Za-z_]\w*\(")
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
    step = step.strip()
    left, _, right = (part.strip() for part in step[2:-2].partition("="))
    whole = step.startswith("<<") and step.endswith(">>")
    if not (whole and left and right) or any(mark in left + right for mark in "<>="):
        raise ProblemError(f"{step[:60]!r} is no equation; write <<3*60=180>>")
    return left, right


def read_equation(step: str) -> Equation:
    """Recompute a step exactly; ProblemError if it cannot be read or divides by zero."""
    left, right = split_equation(step)
    value, stated = evaluate(left), evaluate(right)
    rounded = value != stated and stated in _rounded(value, right)
    return Equation(left, right, value, value == stated or rounded, rounded)


def _rounded(value: Fraction, written: str) -> set[Fraction]:
    """What the value may be rounded to, given how many decimals were written."""
    match = _NUMBER.fullmatch(written.lstrip("-").strip())
    decimals = match["run"].partition(".")[2] if match else ""
    if not match or not decimals.isdigit():
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
        value = _value(ast.parse(marked, mode="eval").body, tidy)
    except ZeroDivisionError:
        raise ProblemError(f"{text[:60]!r} divides by zero") from None
    except (SyntaxError, LookupError, RecursionError, MemoryError):
        raise ProblemError(
            f"cannot read {text[:60]!r}: a number, an operation or a bracket is missing"
        ) from None
    if max(abs(value.numerator), value.denominator) > 10**LONGEST:
        raise ProblemError(f"{text[:60]!r} is a number of more than {LONGEST:,} digits")
    return value


def _value(node: ast.expr, text: str) -> Fraction:
    match node:
        case ast.Constant():
            found = next(_NUMBER.finditer(text, node.col_offset))
            value = number(found[0])
            if value is None:
                raise ProblemError(f"cannot read {found[0][:20]!r} in {text[:60]!r}")
            return value
        case ast.BinOp():
            left, right = _value(node.left, text), _value(node.right, text)
            return _OPERATIONS[type(node.op)](left, right)
        case ast.UnaryOp():
            return _OPERATIONS[type(node.op)](_value(node.operand, text))
    raise LookupError(f"no operation of arithmetic: {node}")


def number(text: str) -> Fraction | None:
    """Read one number, such as `1,200`, `.5`, `$3` or `15%`; None if it is no number."""
    text = text.replace("−", "-").strip()
    match = _NUMBER.fullmatch(text.removeprefix("-").strip())
    value, *more = _read(match) if match else [None]
    if value is None or more:
        return None
    return -value if text.startswith("-") else value


def numbers_in(text: str) -> list[Fraction]:
    """List the numbers that a text mentions in digits, in order."""
    found = (value for match in _NUMBER.finditer(text) for value in _read(match))
    return [value for value in found if value is not None]


def _read(match: re.Match[str]) -> list[Fraction | None]:
    values = _values(match["run"])
    if match["percent"] and values[-1] is not None:
        values[-1] /= 100
    return values


def _values(run: str) -> list[Fraction | None]:
    """Read the numbers of a run; None stands for one beyond all bounds."""
    run = run.rstrip(".")  # of a sentence
    return [_fraction(part) for part in ([run] if _ONE.fullmatch(run) else _PART.findall(run))]


def _fraction(text: str, power: str = "0") -> Fraction | None:
    digits, _, exponent = text.lower().partition("e")
    if "," in digits and (re.search(f"['’{_SPACES}]", digits) or "." in digits.split(",")[0]):
        digits = digits.replace(".", "").replace(",", ".")  # the comma is the decimal mark
    whole, *parts = re.sub(f"[,_'’{_SPACES}]", "", digits).rstrip(".").split(".")
    digits = whole + ("." if len(parts) == 1 else "") + "".join(parts)
    if max(len(digits), len(exponent), len(power)) > LONGEST:
        return None
    scale = int(exponent or 0) + int(power)
    if not scale or abs(scale) > LONGEST:
        return None if scale else Fraction(digits)
    return Fraction(digits) * Fraction(10) ** scale


def numbers_of_answer(text: str) -> list[Fraction | None]:
    """List the numbers that an answer mentions, in order; None for one that cannot be.

    Besides what `number` reads: signs, currencies, `3/4`, `1 1/2`, `0x1f`, `6.2 × 10^20`, a loss in
    brackets that stands alone, `($1,200)`, and what Python puts around a number, `float64(3.5)`.
    """
    text = text.replace("−", "-").strip()
    loss = _LOSS.fullmatch(text)
    if loss:
        return [None if value is None else -value for value in _values(loss[1])]
    text = re.sub(r"Fraction\((-?\d+), (\d+)\)", r"\1/\2", text)
    found = _WRITTEN.finditer(_CALL.sub(" ", text))
    return [value for match in found for value in _written(match)]


def _written(match: re.Match[str]) -> list[Fraction | None]:
    values: list[Fraction | None]
    if match["hex"]:
        values = [Fraction(int(match["hex"], 0))]
    elif match["run"]:
        values = _values(match["run"])
        if match["power"]:
            values[-1:] = [_fraction(match["run"], match["power"])]
    else:
        parts = [_values(match[name] or "0")[-1] for name in ("whole", "over", "under")]
        whole, over, under = (Fraction(0) if part is None else part for part in parts)
        values = [whole + over / under if under and None not in parts else None]
    if (match["sign"] or match["sign2"]) and values[0] is not None:
        values[0] = -values[0]
    return values


def write_number(value: Fraction) -> str:
    """Write a number with as few decimals as are exact, else as a fraction."""
    tries = range(value.denominator.bit_length())
    decimals = next((n for n in tries if 10**n % value.denominator == 0), 0)
    if not decimals:
        return str(value)
    whole, part = divmod(abs(value) * 10**decimals, 10**decimals)
    return f"{'-' if value < 0 else ''}{whole}.{int(part):0{decimals}}"

"""Arithmetic: exact numbers, iCoT's text format, every published row, the small word problems."""

from __future__ import annotations

import itertools
import operator
import re
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published import GSM8K, needs_published

from coconut_lab.tasks.arithmetic import (
    evaluate,
    number,
    numbers_in,
    numbers_of_answer,
    read_equation,
    write_number,
)
from coconut_lab.tasks.gsm8k import (
    answer_fault,
    rounded_steps,
    step_faults,
)
from coconut_lab.tasks.loading import load_problems
from coconut_lab.tasks.problems import Problem, ProblemError
from coconut_lab.tasks.prosqa import ENTITIES
from coconut_lab.tasks.shortcuts import COMMONEST, gsm8k_shortcuts
from coconut_lab.tasks.word_problems import generate_arithmetic

# --- exact arithmetic --------------------------------------------------------------------------


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> tuple[str, Fraction]:
    """Random expressions with the value that Python's own fractions give them."""
    if depth == 0 or draw(st.booleans()):
        whole, decimals = draw(st.integers(0, 9999)), draw(st.integers(0, 3))
        text = str(whole)
        if decimals:
            text += f".{draw(st.integers(0, 10**decimals - 1)):0{decimals}}"
        percent = draw(st.booleans())
        value = Fraction(text) / (100 if percent else 1)
        return text + "%" * percent, value
    left, a = draw(expressions(depth=depth - 1))
    right, b = draw(expressions(depth=depth - 1))
    sign = draw(st.sampled_from("+-*/"))
    if sign == "/" and not b:
        sign = "-"
    combine = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
    space = draw(st.sampled_from(["", " "]))
    return f"({left}){space}{sign}{space}({right})", combine[sign](a, b)


@given(expressions())
@settings(max_examples=200)
def test_expressions_have_their_exact_value(case: tuple[str, Fraction]) -> None:
    text, value = case
    assert evaluate(text) == value
    assert evaluate(f"-({text})") == -value


@given(st.lists(st.integers(1, 99), min_size=2, max_size=8), st.data())
def test_precedence_is_that_of_python(numbers: list[int], data: st.DataObject) -> None:
    signs = [data.draw(st.sampled_from("+-*/")) for _ in numbers[1:]]
    text = str(numbers[0]) + "".join(s + str(n) for s, n in zip(signs, numbers[1:], strict=True))
    python = eval(re.sub(r"(\d+)", r"Fraction(\1)", text), {"Fraction": Fraction})
    assert evaluate(text) == python


@given(st.fractions() | st.decimals(-(10**6), 10**6, places=3).map(Fraction))
def test_written_numbers_come_back_and_are_short(value: Fraction) -> None:
    text = write_number(value)
    assert evaluate(text) == value
    assert not re.search(r"\.\d*0$|\.$", text)
    if 1000 % value.denominator == 0:
        assert "/" not in text and number(text) == value


@pytest.mark.parametrize(
    ("step", "holds", "rounded"),
    [
        ("<<3*60=180>>", True, False),
        ("<<3*60=181>>", False, False),
        ("<<2/.5=4>>", True, False),
        ("<<2*2.25=4.50>>", True, False),
        ("<<0.1+0.2=0.3>>", True, False),
        ("<<0.1+0.2=0.30000000000000004>>", False, False),
        ("<<10/3=3.33>>", True, True),
        ("<<10/3=3.34>>", False, False),
        ("<<10/3=3>>", False, False),
        ("<<1/8=.13>>", True, True),
        ("<<1/8=.12>>", True, True),
        ("<<1/8=.124>>", False, False),
        ("<<-10/3=-3.33>>", True, True),
        ("<<-1/8=-.13>>", True, True),
        ("<<2/3=66.67%>>", True, True),
        ("<<2/3=67%>>", False, False),
        ("<<15%*200=30>>", True, False),
        ("<<1,200/2=600>>", True, False),
        ("<<1.5e3*2=3000>>", True, False),
        ("<<$3*2=$6>>", True, False),
        ("<<1/3=1/3>>", True, False),
        ("<<5=5>>", True, False),
        ("<< 80-(1/2)*80 = 40 >>", True, False),
        ("<<2×3÷6−1=0>>", True, False),
        ("<<2x3 X 4=24>>", True, False),
        ("<<100000000000000000000*3=300000000000000000000>>", True, False),
        ("<<100000000000000000000*3=300000000000000000001>>", False, False),
    ],
)
def test_rules_of_rounding(step: str, holds: bool, rounded: bool) -> None:
    equation = read_equation(step)
    assert (equation.holds, equation.rounded) == (holds, rounded)
    assert (step_faults(Problem("q", (step,), "1")) == [None]) == holds
    assert rounded_steps(Problem("q", (step, "<<x=1>>"), "1")) == rounded


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("3*60=180", "is no equation; write <<3*60=180>>"),
        ("<<apples>>", "is no equation"),
        ("<<1+1=2=2>>", "is no equation"),
        ("<<=2>>", "is no equation"),
        ("<<1/0=0>>", "'1/0' divides by zero"),
        ("<<1/(2-2)=0>>", "divides by zero"),
        ("<<2y+1=3>>", "cannot read 'y+1' in '2y+1'"),
        ("<<2x+1=3>>", "cannot read 'x+1' in '2x+1'"),
        ("<<2 3=6>>", "a number, an operation or a bracket is missing"),
        ("<<(2+3=5>>", "a number, an operation or a bracket is missing"),
        ("<<2+3)=5>>", "a number, an operation or a bracket is missing"),
        ("<<2+=5>>", "a number, an operation or a bracket is missing"),
        ("<<2**3=8>>", "a number, an operation or a bracket is missing"),
        ("<<1$3=13>>", "cannot read '$3' in '1$3'"),
        ("<<12,34=1>>", "cannot read '12,34' in '12,34'"),
        (f"<<{'(' * 300}1{')' * 300}=1>>", "bracket is missing"),
        (f"<<{'-' * 999}1=1>>", "is missing"),
        ("<<9**9**9**9=1>>", "is missing"),
        (f"<<{'1e999*' * 9}1=1>>", "is a number of more than 1,000 digits"),
        (f"<<{'1+' * 600}1=601>>", "an expression of 1,201 characters"),
        ("<<3*60=181>>", "3*60 is 180, not 181"),
        ("<<10/3=3>>", "10/3 is 10/3, not 3"),
        ("<<1/8=0>>", "1/8 is 0.125, not 0"),
    ],
)
def test_failing_steps_have_a_reason(step: str, reason: str) -> None:
    (fault,) = step_faults(Problem("q", (step,), "1"))
    assert fault is not None
    assert reason in fault


@given(st.text(st.sampled_from("0123456789.,%$+-*/()<>= x")))
@settings(max_examples=300)
def test_any_step_holds_or_has_a_reason(text: str) -> None:
    for step in (text, f"<<{text}>>", f"<<{text}=1>>"):
        (fault,) = step_faults(Problem("q", (step,), "1"))
        assert fault is None or fault


@pytest.mark.timeout(120)  # each takes a tenth of a second; some took minutes
@pytest.mark.parametrize(
    "text", ["1" + ",234" * 25_000 + ",5", "1." * 50_000, "9" * 99_999, "1 /" * 30_000]
)
def test_many_digits_are_read_at_once(text: str) -> None:
    assert number(text) is None and isinstance(numbers_in(text), list)
    assert numbers_of_answer(text) and step_faults(Problem("q", (f"<<{text}=1>>",), "1"))[0]


def test_numbers_of_a_text() -> None:
    text = "Sam pays $1,200.50 for 3 pens, 15% off, and .5 in 2024."
    found = [Fraction("1200.5"), Fraction(3), Fraction(15, 100), Fraction(1, 2), Fraction(2024)]
    assert numbers_in(text) == found


# --- the published file ------------------------------------------------------------------------


@needs_published
def test_figures_of_the_published_file() -> None:
    problems = load_problems(GSM8K)
    scores = gsm8k_shortcuts(problems)
    assert next(iter(scores)) == COMMONEST
    assert scores[COMMONEST] == pytest.approx(0.042)
    assert scores["the last number"] == pytest.approx(0.008)
    assert max(v for name, v in scores.items() if name != COMMONEST) == pytest.approx(0.022)


# --- answers and shortcuts ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "answer", "fault"),
    [
        (("<<10*100=1000>>",), "1,000", None),
        (("<<2*2.5=5.00>>",), "$5", None),
        ((), "7", None),
        (("<<1+1=2>>",), "3", "the answer is 3, but the last step results in 2"),
        (("<<1+1=2>>",), "two", "the answer 'two' is no number"),
        (("nothing",), "3", "the last step has no result"),
        (("<<1/3=1/3>>",), "3", "the last step has no result"),
    ],
)
def test_answers_are_compared_with_the_last_step(
    steps: tuple[str, ...], answer: str, fault: str | None
) -> None:
    found = answer_fault(Problem("q", steps, answer))
    assert (found is None) == (fault is None)
    assert fault is None or fault in str(found)


def test_shortcuts_on_a_hand_made_list() -> None:
    problems = [
        Problem("Add 2 and 3 and 4.", (), "9"),
        Problem("The last of 5 and 9.", (), "9"),
        Problem("Take 3 from 9.", (), "6"),
        Problem("No digits here.", (), "1"),
    ]
    scores = gsm8k_shortcuts(problems)
    assert scores[COMMONEST] == 0.5
    assert scores["the last number"] == scores["the largest number"] == 0.25
    assert (
        scores["the sum of all numbers"] == scores["the largest number less the smallest"] == 0.25
    )
    assert scores["the first number"] == 0
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    with pytest.raises(ProblemError, match="problem 1: the answer 'many' is no number"):
        gsm8k_shortcuts([problems[0], Problem("q", (), "many")])


# --- word problems -----------------------------------------------------------------------------


def solve(question: str) -> tuple[int, int]:
    """Answer and number of steps, by filling in numbers until the person asked about has one."""
    *sentences, ask = re.split(r"(?<=[.?]) ", question)
    have: dict[str, tuple[int, int]] = {}
    person = ask.split(" does ")[1].split()[0]
    while person not in have:
        for sentence in sentences:
            words = sentence.rstrip(".").split()
            base = re.fullmatch(r"(\w+) has (\d+) \w+\.", sentence)
            if base:
                have[base[1]] = (int(base[2]), 0)
            elif words[-1] in have:
                value, steps = have[words[-1]]
                how = words[2:-1]
                value = {
                    "more": lambda v, h: v + int(h[0]),
                    "fewer": lambda v, h: v - int(h[0]),
                    "times": lambda v, h: v * int(h[0]),
                    "as": lambda v, h: v // 2,
                }[how[1]](value, how)
                have[words[0]] = (value, steps + 1)
    return have[person]


@given(st.integers(0, 2**40), st.integers(1, 7), st.sampled_from([20, 50, 99, 1000]), st.booleans())
@settings(max_examples=80)
def test_every_word_problem_is_right(seed: int, steps: int, largest: int, one_chain: bool) -> None:
    for one in generate_arithmetic(4, seed, steps=steps, largest=largest, one_chain=one_chain):
        assert solve(one.question) == (int(one.answer), steps)
        assert step_faults(one) == [None] * steps
        assert answer_fault(one) is None
        assert rounded_steps(one) == 0
        results = [re.split(r"[-+*/=]", step[2:-2]) for step in one.steps]
        for before, after in itertools.pairwise(results):
            assert after[0] == before[2]  # each step uses the one before it
        values = [int(number) for result in results for number in result]
        assert min(values) > 0 and max(values) <= largest
        assert Fraction(one.answer) not in numbers_in(one.question)
        if one_chain:
            people = [text.split()[0] for text in one.question.split(". ")[:-1]]
            named = [text.split()[-1] for text in one.question.split(". ")[1:-1]]
            assert named == people[:-1]  # each sentence speaks of the person before
            assert f"does {people[-1]} have?" in one.question


def test_word_problems_use_every_name_and_sign() -> None:
    problems = generate_arithmetic(3000, 11)
    assert Counter(len(one.steps) for one in problems) == {2: 1500, 3: 1500}
    asked = Counter(re.findall(r"does (\w+) have", " ".join(p.question for p in problems)))
    assert set(asked) == set(ENTITIES) and asked.total() == 3000
    signs = Counter(re.findall(r"<<\d+(\D)", " ".join(s for p in problems for s in p.steps)))
    assert set(signs) == set("+-*/") and min(signs.values()) > 0.1 * signs.total()

"""Problems: both notations, what is verified, and a learner's own text."""

from __future__ import annotations

from contextlib import suppress

import pytest
from example_problem import SYMBOLS, english, problem, random_graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from coconut_lab.tasks.notation import Statement, read_statement, write_english, write_symbols
from coconut_lab.tasks.problems import Graph, Problem, ProblemError, parse_problem, verify

# --- notations -------------------------------------------------------------------------------


def test_both_notations_of_the_example() -> None:
    assert problem().in_english() == english()
    assert english().in_symbols() == problem()
    assert problem().in_symbols() == problem()
    assert english().in_english() == english()
    verify(problem())
    verify(english())


@given(random_graphs(), st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=200, deadline=None)
def test_round_trips_of_any_graph(g: Graph, random: object, swap: bool) -> None:
    edges = list(g.edges)
    random.shuffle(edges)  # type: ignore[attr-defined]
    options = (g.names[g.target], g.names[g.distractor])
    statement = Statement(
        facts=tuple((g.names[i], g.names[j]) for i, j in edges),
        options=options[::-1] if swap else options,
        asked=g.names[g.root],
    )
    assert read_statement(write_symbols(statement)) == statement
    assert read_statement(write_english(statement)) == statement
    path = [g.names[node] for node in g.shortest_paths(1)[0]]
    symbols = Problem(write_symbols(statement), tuple(path[1:]), path[-1], g)
    verify(symbols)
    verify(symbols.in_english())
    assert symbols.in_english().in_symbols() == symbols
    for text in (symbols.question, symbols.in_english().question):
        parsed = parse_problem(text)
        verify(parsed)
        assert parsed.question == text
        assert parsed.in_symbols().answer == symbols.answer
        assert len(parsed.steps) == g.hops


def test_problem_without_graph_has_one_notation() -> None:
    plain = Problem("What is 1 + 1?", ("<<1+1=2>>",), "2")
    for use in (plain.in_english, plain.in_symbols, lambda: verify(plain)):
        with pytest.raises(ProblemError, match="no graph: 'What is 1"):
            use()


# --- verify ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            problem(steps=("yumpus", "lempus")),
            "step 2 uses the edge yumpus → lempus, which the question never states",
        ),
        (
            english(steps=("Tom is a yumpus.", "Every yumpus is a lempus.")),
            "step 2 uses the edge yumpus → lempus, which the question never states",
        ),
        (english(steps=english().steps[1:]), "step 1 starts at yumpus, but the chain is at Tom"),
        (english(steps=english().steps[::2]), "step 2 starts at rempus, but the chain is at yum"),
        (english(steps=("Tom is a yumpus.", "So.")), "step 2 is not of the form .*'So.'"),
        (problem(steps=("yumpus", "rempus")), "the steps end at rempus, not at the target lempus"),
        (problem(steps=()), "the steps end at Tom"),
        (problem(answer="scrompus"), "the answer names scrompus, not the target lempus"),
        (english(answer="Max is a lempus."), "the answer is not of the form 'Tom is a x.'"),
        (problem(question=SYMBOLS.replace("| Tom a ", "")), r"edge 4 .*Tom → a.* never stated"),
        (problem(question="| a Tom " + SYMBOLS), r"fact 1 \(a → Tom\) is no edge of the graph"),
        (problem(question="| Tom a " + SYMBOLS), r"fact 6 \(Tom → a\) repeats fact 1"),
        (problem(question=SYMBOLS.replace("[R] Tom", "[R] Max")), "asks about Max, but the root"),
        (problem(question=SYMBOLS.replace("[Q] lempus", "[Q] a")), "options are a and scrompus"),
        (problem(question="Why?"), "cannot read 'Why"),
    ],
)
def test_verify_names_the_place(bad: Problem, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        verify(bad)


def test_disconnected_steps_have_no_symbols() -> None:
    with pytest.raises(ProblemError, match="step 2 starts at rempus"):
        english(steps=english().steps[::2]).in_symbols()


# --- a learner's own text --------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "| Tom yumpus | yumpus rempus | Max lempus [Q] rempus lempus [R] Tom",
        "|Tom yumpus|yumpus rempus|Max lempus[Q]rempus lempus[R]Tom",
        "| Tom yumpus\n| yumpus rempus\n| Max lempus\n[Q] rempus lempus\n[R] Tom\n",
        "Tom is a yumpus. Every yumpus is a rempus. Max is a lempus. Is Tom a rempus or lempus?",
        "Tom is a yumpus\nevery yumpus is an rempus\nMax is a lempus\nis Tom a rempus or a lempus",
        "Is Tom a rempus, or a lempus? Tom is a yumpus. Every yumpus is a rempus. Max is a lempus.",
    ],
)
def test_parse_many_ways_of_writing(text: str) -> None:
    parsed = parse_problem(text).in_symbols()
    assert parsed.question == "| Tom yumpus | yumpus rempus | Max lempus [Q] rempus lempus [R] Tom"
    assert parsed.steps == ("yumpus", "rempus")
    assert parsed.answer == "rempus"
    verify(parsed)


def test_parse_takes_the_path_stated_first() -> None:
    assert parse_problem("| r b | r a | a t | b t | x y [Q] y t [R] r").steps == ("b", "t")
    assert parse_problem("| b t | a t | r a | r b | x y [Q] y t [R] r").steps == ("a", "t")


def test_parse_english_about_a_concept() -> None:
    parsed = parse_problem("Tom is a x. Every x is a y. Tom is a z. Is x a y or z?")
    assert parsed.steps == ("Every x is a y.",)
    assert parsed.in_symbols().in_english() == parsed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" \n ", "the problem is empty"),
        ("| a b | c d", r"\[Q\] exactly once, found 0"),
        ("| a b | c d [Q] b d [Q] b d [R] a", r"\[Q\] exactly once, found 2"),
        ("| a b | c d [Q] b d", r"\[R\] exactly once, found 0"),
        ("| a b | c d [R] a [Q] b d", r"\[R\] comes before \[Q\]"),
        ("| a b | c d [Q] b [R] a", r"\[Q\] needs two options, found 1"),
        ("| a b | c d [Q] b d [R]", r"\[R\] needs one name, found 0"),
        ("| a b | c d e [Q] b d [R] a", "fact 2 has 3 names .*write | parent child"),
        ("| a b || c d [Q] b d [R] a", "fact 2 has 0 names"),
        ("a b | c d [Q] b d [R] a", "fact 1 starts with 'a'"),
        ("| a b | c <eot> [Q] b <eot> [R] a", "fact 2: the name '<eot>' is .* reserved"),
        ("| a b | c d [Q] b d [R] e", "the name asked about, 'e', is unknown"),
        ("| a b | c d [Q] b x [R] a", "the second option, 'x', is unknown: no fact mentions it"),
        ("| a b | a d [Q] b d [R] a", "both options, 'b' and 'd', can be reached from 'a'"),
        ("| a b | c d | d e [Q] d e [R] a", "neither option, 'd' nor 'e', can be reached from"),
        ("| a b | c d [Q] b b [R] a", "both options are 'b'"),
        ("| a b | c d [Q] a b [R] a", "'a' is asked about and cannot be an option"),
        ("| a b | c d | a b [Q] b d [R] a", r"fact 3 \(a → b\) repeats fact 1"),
        ("| a b | c d | b a [Q] b d [R] a", "the graph has a cycle: "),
        ("| a b | c d | b b [Q] b d [R] a", r"b → b\) leads from a node to itself"),
        ("Tom is a x. Max is a y.", "there is no question"),
        ("Tom is a x. Max is blue. Is Tom a x or y?", "cannot read 'Max is blue.', after fact 1"),
        ("Tom is a x. Max is a y. Is Tom a x or y? Is Max a x or y?", "a second question, 'Is Max"),
    ],
)
def test_bad_text_names_the_place(text: str, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        parse_problem(text)


@given(st.text(st.sampled_from("ab |[]QR.?\nEveryIsaor")))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ProblemError):
        verify(parse_problem(text))

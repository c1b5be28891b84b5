"""Path classes against the enumeration of every path; numbers against how they were written."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from coconut_lab.inference.answers import (
    PATH_CLASSES,
    answer_of,
    count_path_classes,
    numeric_answer,
    path_class,
)
from coconut_lab.tasks.problems import Graph, Problem, ProblemError, parse_problem
from coconut_lab.tasks.prosqa import generate_prosqa


@st.composite
def graphs(draw):
    """Small acyclic graphs in which node 0 reaches exactly one of two options."""
    size = draw(st.integers(3, 6))
    pairs = [(a, b) for a in range(size) for b in range(a + 1, size)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, min_size=1))
    reached = {0}
    for node in range(size):
        if node in reached:
            reached |= {b for a, b in edges if a == node}
    others = sorted(set(range(size)) - reached)
    assume(others and len(reached) > 1)
    target = draw(st.sampled_from(sorted(reached - {0})))
    names = draw(st.permutations([f"n{i}us" for i in range(size)]))
    return Graph(tuple(names), tuple(edges), 0, target, draw(st.sampled_from(others)))


def every_path(graph):
    """All walks of at least one hop from the root, by brute force."""
    found, paths = [], [(graph.root,)]
    while paths:
        path = paths.pop()
        longer = [(*path, b) for a, b in graph.edges if a == path[-1]]
        found += longer
        paths += longer
    return found


def naive_class(words, graph, partial):
    """Enumerate every completion, and take the best class that one of them has."""
    path = tuple(graph.names.index(word) for word in words)
    candidates = [
        whole
        for whole in [(graph.root,), *every_path(graph)]
        if (whole[-len(path) :] == path if partial else whole == (graph.root, *path))
    ]
    if not candidates:
        return "Hallucination"
    shortest = min(len(path) for path in every_path(graph) if path[-1] == graph.target)
    ranks = []
    for whole in candidates:
        if whole[-1] != graph.target:
            ranks.append("Wrong Target")
        else:
            ranks.append("Correct Path" if len(whole) == shortest else "Longer Path")
    return min(ranks, key=["Correct Path", "Longer Path", "Wrong Target"].index)


def problem_of(graph):
    facts = " ".join(f"| {graph.names[a]} {graph.names[b]}" for a, b in graph.edges)
    target, other, root = (graph.names[i] for i in (graph.target, graph.distractor, graph.root))
    return Problem(f"{facts} [Q] {target} {other} [R] {root}", (), target, graph)


@given(graphs(), st.data(), st.booleans())
def test_classes_agree_with_the_enumeration_of_all_paths(graph, data, partial):
    problem = problem_of(graph)
    if data.draw(st.booleans()):  # a real path or the end of one, else any nodes
        path = data.draw(st.sampled_from(every_path(graph)))
        cut = data.draw(st.integers(1, len(path) - 1)) if partial else 1
        words = [graph.names[node] for node in path[cut:]]
    else:
        words = data.draw(st.lists(st.sampled_from(graph.names), min_size=1, max_size=4))
    text = " ".join(words) + " ### " + problem.answer
    got = path_class(text, problem, partial=partial)
    assert got == naive_class(words, graph, partial) and got in PATH_CLASSES


@given(graphs(), st.data())
def test_english_steps_get_the_class_of_their_path(graph, data):
    problem = problem_of(graph)
    path = data.draw(st.sampled_from(every_path(graph)))
    sentences = [f"Every {graph.names[a]} is a {graph.names[b]}." for a, b in pairwise(path)]
    spoken = Problem("Every a is a b. Is a a b or c?", (), f"Tom is a {problem.answer}.", graph)
    for gap in ("\n", " "):
        text = gap.join(sentences) + "\n### Tom is a x."
        symbols = " ".join(graph.names[node] for node in path[1:])
        assert path_class(text, spoken) == path_class(symbols, problem)
    start = data.draw(st.integers(0, len(sentences) - 1))
    got = path_class("\n".join(sentences[start:]), spoken, partial=True)
    assert got == naive_class([graph.names[node] for node in path[start:]], graph, True)


TEXT = "| Tom a | a b | b c | a c | a d | e f [Q] c f [R] Tom"


@pytest.mark.parametrize(
    ("written", "want"),
    [
        ("a c ### c", "Correct Path"),
        ("a c ### f", "Correct Path"),  # the path decides, not the answer after it
        ("a b c ### c", "Longer Path"),
        ("b c ### c", "Hallucination"),
        ("a e f ### f", "Hallucination"),
        ("a x c ### c", "Hallucination"),
        ("a d ### c", "Wrong Target"),
        ("### c", "Correct Label"),
        ("###  c ", "Correct Label"),
        ("### f", "Incorrect Label"),
        ("### c c", "Incorrect Label"),
        ("", "Incorrect Label"),
    ],
)
def test_classes_of_a_small_problem(written, want):
    assert path_class(written, parse_problem(TEXT)) == want


@pytest.mark.parametrize(
    ("written", "want"),
    [
        ("c ### c", "Correct Path"),
        ("b c ### c", "Longer Path"),
        ("d ### c", "Wrong Target"),
        ("f ### f", "Hallucination"),  # no way leads there
        ("b d ### c", "Hallucination"),
        ("### c", "Correct Label"),
    ],
)
def test_a_partial_path_takes_the_class_of_its_completion(written, want):
    assert path_class(written, parse_problem(TEXT), partial=True) == want


def test_broken_english_is_a_hallucination():
    problem = parse_problem(TEXT).in_english()
    good = "Tom is a a. Every a is a c."
    assert path_class(f"{good}\n### Tom is a c.", problem) == "Correct Path"
    for text in ("Tom is a a. Every b is a c.", "Tom a c.", "Every a is a c.", "Tom is a z."):
        assert path_class(text, problem) == "Hallucination"
    assert path_class("### Tom is a c.", problem) == "Correct Label"


def test_right_steps_are_correct_paths_and_every_output_is_counted_once():
    problems = generate_prosqa(30, 3)
    texts = [" ".join(problem.steps) + " ### x" for problem in problems]
    assert count_path_classes(texts, problems)["Correct Path"] == 30
    rotated = count_path_classes(texts[1:] + texts[:1], problems, partial=True)
    assert list(rotated) == list(PATH_CLASSES) and sum(rotated.values()) == 30
    assert rotated["Hallucination"] > 0


def test_a_path_needs_a_graph():
    with pytest.raises(ProblemError, match="no graph"):
        path_class("a", Problem("1 + 1", (), "2"))


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("### 18", 18),
        ("#### 18", 18),
        ("### $1,234.50", Fraction("1234.5")),
        ("### 1,234,567 apples", 1234567),
        ("### 12.", 12),
        ("### 12.0.", 12),
        ("### -7", -7),
        ("### −7 degrees", -7),
        ("### -$5", -5),
        ("### $-5.25", Fraction("-5.25")),
        ("### € 3", 3),
        ("### 3/4", Fraction(3, 4)),
        ("### -1/2", Fraction(-1, 2)),
        ("### 1 1/2 cups", Fraction(3, 2)),
        ("### .5", Fraction(1, 2)),
        ("### 20%", 20),
        ("### 10-5", 10),
        ("### 5 apples and 3 pears", 5),
        ("First 5, then 8, so 13.", 13),
        ("It is 10-5", 5),
        ("### 7 ### 8", 8),
        ("### none", None),
        ("### 3/0", None),
        ("no number", None),
        ("5 ###", None),
        ("", None),
        ("### 12,34", 12),
        ("covid-19", 19),
        ("### 2 dozen", 2),
        ("### x=3", 3),
        ("### 45km/h", 45),
        # as Python writes them
        ("### 6.2e+20", 62 * 10**19),
        ("### 1E5", 100_000),
        ("### -2.5E-01", Fraction(-1, 4)),
        ("so 1e-3.", Fraction(1, 1000)),
        ("### 1_000_000", 1_000_000),
        ("### 0x1F", 31),
        ("### -0b101", -5),
        ("### np.float64(3.5)", Fraction(7, 2)),
        ("### Decimal('1.50')", Fraction(3, 2)),
        ("### Fraction(-3, 4)", Fraction(-3, 4)),
        ("### 6.2 × 10^20", 62 * 10**19),
        ("### 6.2*10**-2", Fraction(31, 500)),
        ("### 1e999999999", None),
        ("### " + "9" * 5000, None),
        ("### inf", None),
        ("### nan", None),
        # as spreadsheets write them
        ("### 1.5E+03", 1500),
        ("### (1,234)", -1234),
        ("### ($5.50)", Fraction(-11, 2)),
        ("### 5 (3 dozen)", 5),
        ("### 1.234,56", Fraction("1234.56")),
        ("### 1.234.567", 1234567),
        ("### 1\u202f234,5", Fraction("1234.5")),
        ("### 1'234.50", Fraction("1234.5")),
        ("### 12.5%", Fraction(25, 2)),
        ("### Rs.500", 500),
        ("### +5", 5),
    ],
)
def test_numbers_as_people_write_them(text, want):
    assert numeric_answer(text) == want


@given(st.integers(-(10**9), 10**9), st.integers(0, 4), st.data())
def test_a_decimal_is_read_as_it_was_written(value, places, data):
    number = Fraction(value, 10**places)
    size, sign = abs(number), "-" if value < 0 else ""
    whole = f"{size.numerator // size.denominator:,d}"
    rest = f"{abs(value) % 10**places:0{places}d}" if places else ""
    digits = whole + ("." + rest if rest else "")
    if data.draw(st.booleans()):
        digits = digits.replace(",", "")
    form = data.draw(
        st.sampled_from(["{s}{d}", "{s}${d}", "${s}{d}", "{s}{d} km", "{s}{d}.", "{s}{d}%"])
    )
    text = form.format(s=sign, d=digits)
    assert numeric_answer(f"9 of 8 ### {text}") == number
    assert numeric_answer(f"9 of 8 are {text}") == number


@given(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from("{!r} {:e} {:.3E}".split())
)
def test_a_float_is_read_as_it_was_written(value, form):
    text = form.format(value)
    assert numeric_answer(f"9 of 8 ### {text}") == numeric_answer(f"so {text}.") == Fraction(text)


@given(st.integers(-999, 999), st.integers(1, 99))
def test_a_fraction_is_read_as_it_was_written(over, under):
    assert numeric_answer(f"### {over}/{under} of it") == Fraction(over, under)


@given(st.text(alphabet="0123456789 .,/-$#ab%", max_size=20))
def test_any_text_gives_a_number_or_none(text):
    found = numeric_answer(text)
    assert found is None or isinstance(found, Fraction)
    if not any(character.isdigit() for character in text):
        assert found is None


def test_an_answer_is_what_follows_the_last_mark():
    assert answer_of("x ### y ### z") == "z" and answer_of("x") is None

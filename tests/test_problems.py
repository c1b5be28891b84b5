"""Graphs, problems, both notations, reading and writing: what holds and what is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import permutations, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coconut_lab.loading import load_problems
from coconut_lab.notation import Statement, read_statement, write_english, write_symbols
from coconut_lab.problems import (
    Graph,
    Problem,
    ProblemError,
    parse_problem,
    read_json,
    verify,
    write_json,
)

PUBLISHED = Path(__file__).parents[2] / "shared" / "data" / "prosqa_valid.json"
needs_published = pytest.mark.skipif(
    not PUBLISHED.exists(), reason="the published ProsQA file is not on this machine"
)

# Tom → yumpus → rempus → lempus, with a second way over a, and Max → scrompus.
NAMES = ("Tom", "Max", "yumpus", "rempus", "lempus", "scrompus", "a")
EDGES = ((0, 2), (2, 3), (3, 4), (1, 5), (0, 6), (6, 3))
SYMBOLS = (
    "| yumpus rempus | Tom yumpus | rempus lempus | Max scrompus | Tom a | a rempus "
    "[Q] lempus scrompus [R] Tom"
)
ENGLISH = (
    "Every yumpus is a rempus. Tom is a yumpus. Every rempus is a lempus. Max is a scrompus. "
    "Tom is a a. Every a is a rempus. Is Tom a lempus or scrompus?"
)


def graph(**changes: object) -> Graph:
    parts = {"names": NAMES, "edges": EDGES, "root": 0, "target": 4, "distractor": 5}
    return Graph(**(parts | changes))  # type: ignore[arg-type]


def problem(**changes: object) -> Problem:
    parts = {
        "question": SYMBOLS,
        "steps": ("yumpus", "rempus", "lempus"),
        "answer": "lempus",
        "graph": graph(),
    }
    return Problem(**(parts | changes))  # type: ignore[arg-type]


def english(**changes: object) -> Problem:
    parts = {
        "question": ENGLISH,
        "steps": ("Tom is a yumpus.", "Every yumpus is a rempus.", "Every rempus is a lempus."),
        "answer": "Tom is a lempus.",
    }
    return problem(**(parts | changes))


# --- graphs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ("Tom", "Max", "a", "b", "c", "d", "a")}, r"duplicate name 'a': nodes 2 and 6"),
        ({"names": ("Tom", "New York", *NAMES[2:])}, r"'New York' of node 1 contains white space"),
        ({"names": ("Tom", "", *NAMES[2:])}, r"node 1 is empty"),
        ({"names": ("Tom", "x|y", *NAMES[2:])}, r"node 1 is or contains a reserved mark"),
        ({"names": ("Tom", "<bot>", *NAMES[2:])}, r"'<bot>' of node 1 .* reserved"),
        ({"names": ("Tom", "Jr.", *NAMES[2:])}, r"'Jr.' of node 1 ends in '.'"),
        ({"edges": (*EDGES, (2, 7))}, r"edge 6 ends at node 7, but nodes go from 0 to 6"),
        ({"edges": (*EDGES, (-1, 2))}, r"edge 6 starts at node -1"),
        ({"edges": (*EDGES, (2, 2))}, r"edge 6 \(yumpus → yumpus\) leads from a node to itself"),
        ({"edges": (*EDGES, (2, 3))}, r"edge 6 \(yumpus → rempus\) is a duplicate edge"),
        ({"edges": (*EDGES, (4, 2))}, r"cycle: yumpus → rempus → lempus → yumpus"),
        ({"edges": EDGES[:2]}, r"target 'lempus' cannot be reached from the root 'Tom'"),
        ({"edges": (*EDGES, (3, 5))}, r"distractor 'scrompus' can be reached from the root 'Tom'"),
        ({"distractor": 4}, r"target and distractor are the same node, 'lempus'"),
        ({"target": 0}, r"the target is the root itself, 'Tom'"),
        ({"root": 7}, r"the root is node 7, but nodes go from 0 to 6"),
        ({"target": -1}, r"the target is node -1"),
        ({"distractor": 99}, r"the distractor is node 99"),
    ],
)
def test_bad_graph_names_the_place(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        graph(**changes)


def test_graph_of_the_example() -> None:
    g = graph()
    assert g.hops == 3
    assert g.children(0) == (2, 6)
    assert g.parents(3) == (2, 6)
    assert g.distances(0) == (0, None, 1, 2, 3, None, 1)
    assert [g.frontier(k) for k in range(5)] == [{0}, {2, 6}, {3}, {4}, set()]
    assert g.shortest_paths() == ((0, 2, 3, 4), (0, 6, 3, 4))
    assert g.shortest_paths(limit=1) == ((0, 2, 3, 4),)
    assert g.shortest_path_count() == 2
    assert g.layers() == (0, 0, 1, 2, 3, 1, 1)


def test_two_heights() -> None:
    g = graph(edges=(*EDGES, (1, 3)))
    assert (g.height(1), g.height(1, "longest"), g.height(4)) == (1, 2, 0)
    with pytest.raises(ProblemError, match="which='high'"):
        g.height(1, "high")


def test_a_dense_graph_has_many_paths_and_lists_few() -> None:
    # 20 layers of 2 nodes, each joined to both nodes of the next layer: 2**20 shortest paths.
    edges = [(0, 2), (0, 3)]
    for low in range(2, 40, 2):
        edges += list(product((low, low + 1), (low + 2, low + 3)))
    edges += [(40, 42), (41, 42), (1, 43)]
    g = Graph(tuple(f"n{i}" for i in range(44)), tuple(edges), 0, 42, 43)
    assert g.shortest_path_count() == 2**20
    assert len(g.shortest_paths(limit=7)) == len(set(g.shortest_paths(limit=7))) == 7


@st.composite
def random_graphs(draw: st.DrawFn) -> Graph:
    """Random acyclic graphs with names that try the notations hard."""
    odd = ["a", "is", "or", "Every", "every", "Is", "an", "<script>", "O'Neil", "x,y", "v1.2", "é"]
    word = st.sampled_from(odd) | st.text("abcdefgh<>&\"'", min_size=1, max_size=4)
    names = draw(st.lists(word, min_size=4, max_size=9, unique=True))
    pairs = [(i, j) for j in range(2, len(names)) for i in range(j)]
    edges = draw(st.lists(st.sampled_from(pairs), min_size=2, unique=True))
    order = draw(st.permutations(range(len(names))))
    edges = [(order[i], order[j]) for i, j in edges]
    choices = []
    reach = floyd_warshall(len(names), edges)
    named = {node for edge in edges for node in edge}
    for root, target, distractor in permutations(named, 3):
        if target in reach[root] and distractor not in reach[root]:
            choices.append((root, target, distractor))
    if not choices:
        return graph()
    # Nodes that no fact mentions cannot come back from text, so they are left out.
    kept = sorted(named)
    root, target, distractor = (kept.index(node) for node in draw(st.sampled_from(choices)))
    edges = [(kept.index(i), kept.index(j)) for i, j in edges]
    return Graph(tuple(names[i] for i in kept), tuple(edges), root, target, distractor)


def floyd_warshall(size: int, edges: list[tuple[int, int]]) -> list[dict[int, int]]:
    """Hops between all pairs, the slow and plain way."""
    far = [{i: 0} for i in range(size)]
    for i, j in edges:
        far[i][j] = 1
    for k, i in product(range(size), repeat=2):
        for j in far[k]:
            if k in far[i] and far[i][k] + far[k][j] < far[i].get(j, size + 1):
                far[i][j] = far[i][k] + far[k][j]
    return far


def all_paths(g: Graph, node: int) -> list[tuple[int, ...]]:
    """Every path from a node to the target."""
    here = [(node,)] if node == g.target else []
    return here + [(node, *rest) for child in g.children(node) for rest in all_paths(g, child)]


@given(random_graphs())
@settings(max_examples=150, deadline=None)
def test_graph_agrees_with_naive_recomputation(g: Graph) -> None:
    size = len(g.names)
    far = floyd_warshall(size, list(g.edges))
    for node in range(size):
        assert g.distances(node) == tuple(far[node].get(other) for other in range(size))
    paths = all_paths(g, g.root)
    shortest = [path for path in paths if len(path) == min(map(len, paths))]
    assert g.hops == len(shortest[0]) - 1
    assert sorted(g.shortest_paths()) == sorted(shortest)
    assert g.shortest_path_count() == len(shortest)
    leaves = [node for node in range(size) if not g.children(node)]
    tops = [node for node in range(size) if not g.parents(node)]
    for node in range(size):
        assert g.height(node) == min(far[node][leaf] for leaf in leaves if leaf in far[node])
        assert all(g.layers()[node] > g.layers()[parent] for parent in g.parents(node))
        assert g.layers()[node] >= max(far[top].get(node, 0) for top in tops)
        assert node in g.frontier(far[g.root].get(node, -1)) or node not in far[g.root]


# --- notations -------------------------------------------------------------------------------


def test_both_notations_of_the_example() -> None:
    assert problem().in_english() == english()
    assert english().in_symbols() == problem()
    assert problem().in_symbols() == problem()
    assert english().in_english() == english()


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


@pytest.mark.parametrize("make", [problem, english])
def test_good_problem_passes(make: object) -> None:
    verify(make())  # type: ignore[operator]


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
        ("| a b | c d [R] a [Q] b d", r"\[R\] stands before \[Q\]"),
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


# --- files -----------------------------------------------------------------------------------

ROW = {
    "question": ENGLISH,
    "answer": "Tom is a lempus.",
    "steps": list(english().steps),
    "idx_to_symbol": list(NAMES),
    "edges": [list(edge) for edge in EDGES],
    "root": 0,
    "target": 4,
    "neg_target": 5,
}
PLAIN = {"question": "What is 1 + 1?", "answer": "2", "steps": ["<<1+1=2>>"]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "problems.json"


def test_json_round_trip_is_exact(file: Path) -> None:
    text = json.dumps([ROW, PLAIN])
    file.write_text(text)
    problems = read_json(file)
    assert problems == [english(), Problem("What is 1 + 1?", ("<<1+1=2>>",), "2")]
    write_json(problems, file)
    assert file.read_text() == text  # key order too
    assert list(file.parent.iterdir()) == [file]


@needs_published
def test_published_file(file: Path) -> None:
    problems = load_problems(PUBLISHED)
    assert len(problems) == 300
    for number, one in enumerate(problems):
        verify(one)
        assert one.graph is not None
        assert one.graph.hops == len(one.steps), number
        assert one.in_symbols().in_english() == one, number
        verify(one.in_symbols())
    assert load_problems(str(PUBLISHED), limit=7) == problems[:7]
    write_json(problems, file)
    assert file.read_bytes() == PUBLISHED.read_bytes()


def test_failed_write_leaves_the_old_file(file: Path) -> None:
    file.write_text("old")
    with pytest.raises(AttributeError):
        write_json([english(), None], file)  # type: ignore[list-item]
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]
    with pytest.raises(OSError, match="nowhere"):
        write_json([english()], file.parent / "nowhere" / "x.json")


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_truncated_json_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = json.dumps([ROW, PLAIN], indent=data.draw(st.sampled_from([None, 2])))
    cut = data.draw(st.integers(0, len(text) - 1))
    path = tmp_path_factory.mktemp("cut") / "cut.json"
    path.write_text(text[:cut])
    with pytest.raises(ProblemError, match=r"cut\.json: line \d+, column \d+: .*cut off"):
        read_json(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1, column 1"),
        (b'[{"question": "a",\n "steps" ["b"]}]', "line 2, column 10"),
        (b'[\n{"question": "\xff"}]', "line 2, column 15: not UTF-8"),
        (b"[" * 100_000, "line 1, column 1: .*malformed"),
        (b"[" + b"9" * 5000 + b"]", "line 1, column 1: "),
        (b"{}", "expected a list of problems, found dict"),
        (b"[null]", "row 0: expected keys and values, found null"),
    ],
)
def test_malformed_json_names_the_place(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ProblemError, match=rf"problems\.json: {message}"):
        read_json(file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": None}, "key 'question' is null, not str"),
        ({"answer": 2}, "key 'answer' is int, not str"),
        ({"steps": "one"}, "key 'steps' is str, not list"),
        ({"steps": ["one", 2]}, "key 'steps': entry 1 is int, not str"),
        ({"idx_to_symbol": "Tom"}, "key 'idx_to_symbol' is str, not list"),
        ({"idx_to_symbol": ["Tom"] * 7}, "duplicate name 'Tom': nodes 0 and 1"),
        ({"edges": [[0, 2], [1]]}, r"key 'edges': entry 1 is \[1\], not \[parent, child\]"),
        ({"edges": [[0, True]]}, r"key 'edges': entry 0 is \[0, True\]"),
        ({"edges": [*ROW["edges"], [4, 2]]}, "the graph has a cycle: "),  # type: ignore[misc]
        ({"root": True}, "key 'root' is bool, not int"),
        ({"target": "4"}, "key 'target' is str, not int"),
        ({"neg_target": 4}, "target and distractor are the same node"),
        ({"steps": ROW["steps"][1:]}, "step 1 starts at yumpus"),  # type: ignore[index]
    ],
)
def test_bad_row_is_named(file: Path, changes: dict[str, object], message: str) -> None:
    file.write_text(json.dumps([ROW, ROW | changes, ROW]))
    with pytest.raises(ProblemError, match=rf"problems\.json: row 1: {message}"):
        read_json(file)


@pytest.mark.parametrize("key", list(ROW))
def test_missing_key_is_named(file: Path, key: str) -> None:
    file.write_text(json.dumps([{name: value for name, value in ROW.items() if name != key}]))
    with pytest.raises(ProblemError, match=f"row 0: key '{key}' is missing"):
        read_json(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match=r"absent\.json: cannot be read: No such file"):
        read_json(tmp_path / "absent.json")

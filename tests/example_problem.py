"""One problem in both notations, and random graphs, for the tests of problems."""

from itertools import permutations, product

from hypothesis import strategies as st

from coconut_lab.tasks.problems import Graph, Problem

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

"""Reading what a model wrote: its answer, the class of its path, its number.

The classes are those of section 5.1 of the paper (Hao et al. 2024). Four judge a path, two an
answer that stands alone; every output is in exactly one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from coconut_lab.curriculum.tokenizer import ANSWER_MARK
from coconut_lab.errors import checks_kinds
from coconut_lab.tasks.arithmetic import numbers_of_answer
from coconut_lab.tasks.notation import is_symbolic, read_sentence
from coconut_lab.tasks.problems import Graph, Problem, ProblemError

CORRECT_PATH = "Correct Path"
LONGER_PATH = "Longer Path"
HALLUCINATION = "Hallucination"
WRONG_TARGET = "Wrong Target"
CORRECT_LABEL = "Correct Label"
INCORRECT_LABEL = "Incorrect Label"

#: Each class with what it means, in the order of the paper.
PATH_CLASSES = {
    CORRECT_PATH: "a shortest path from the root to the target",
    LONGER_PATH: "a path from the root to the target that is not a shortest one",
    HALLUCINATION: "a step uses an edge that does not exist, or the steps are not connected",
    WRONG_TARGET: "a path that ends elsewhere than at the target",
    CORRECT_LABEL: "no steps, and the right answer",
    INCORRECT_LABEL: "no steps, and a wrong answer or none",
}


def answer_of(text: str) -> str | None:
    """Take the answer from what a model wrote: the words after the last `###`, or None."""
    _, mark, answer = text.rpartition(ANSWER_MARK)
    return " ".join(answer.split()) if mark else None


@checks_kinds(ProblemError)
def path_class(text: str, problem: Problem, *, partial: bool = False) -> str:
    """Say in which of the six classes an output is.

    With steps, the steps decide and the answer after them does not: the destination is where the
    last step ends.

    Args:
        text: what the model wrote, in the notation of the problem: steps, then `###` and answer.
        problem: the ProsQA problem.
        partial: the first steps were left to thoughts, so the path may start anywhere. It takes
            the class of a valid completion if one exists: the shortest way from the root to its
            start, which is the best that the thoughts can have held. If there is none, it is a
            hallucination.

    Returns:
        A key of `PATH_CLASSES`.

    Raises:
        ProblemError: the problem has no graph.
    """
    graph = problem.graph
    if graph is None:
        raise ProblemError("only a ProsQA problem has paths, but this one has no graph")
    steps = text.partition(ANSWER_MARK)[0]
    if not steps.strip():
        right = answer_of(text) == " ".join(problem.answer.split())
        return CORRECT_LABEL if right else INCORRECT_LABEL
    symbolic = is_symbolic(problem.question)
    path = _read_path(steps, graph, symbolic)
    if path is None:
        return HALLUCINATION
    if symbolic and not partial:  # the first step names the node after the root
        path = [graph.root, *path]
    start = graph.distances(graph.root)[path[0]] if partial or path[0] == graph.root else None
    if start is None or not set(pairwise(path)) <= set(graph.edges):
        return HALLUCINATION
    if path[-1] != graph.target:
        return WRONG_TARGET
    return CORRECT_PATH if start + len(path) - 1 == graph.hops else LONGER_PATH


@checks_kinds(ProblemError)
def count_path_classes(
    texts: Sequence[str], problems: Sequence[Problem], *, partial: bool = False
) -> dict[str, int]:
    """Count how many outputs, one per problem, are in each class (see `path_class`)."""
    pairs = zip(texts, problems, strict=True)
    found = [path_class(text, problem, partial=partial) for text, problem in pairs]
    return {name: found.count(name) for name in PATH_CLASSES}


def _read_path(steps: str, graph: Graph, symbolic: bool) -> list[int] | None:
    """Read steps as nodes; None for an unknown name or sentence, or for edges that do not meet."""
    words = steps.split()  # in symbols, each is the name of the next node
    if not symbolic:
        sentences = filter(str.strip, re.split(r"(?<=[.!?])\s+|\n", steps.strip()))
        edges = [read_sentence(sentence) or ("", "") for sentence in sentences]
        if any(edge[1] != following[0] for edge, following in pairwise(edges)):
            return None
        words = [edges[0][0], *(child for _, child in edges)]
    index = {name: node for node, name in enumerate(graph.names)}
    return [index[word] for word in words] if set(words) <= set(index) else None


@checks_kinds(ProblemError)
def numeric_answer(text: str) -> Fraction | None:
    """Take the number from an answer to a GSM8K problem, exactly.

    Understands thousands separators (1,234), units and currencies ($5, 5 dollars, 20%), decimals,
    a trailing period, negative numbers, fractions and mixed numbers as written (3/4, 1 1/2), and
    what Python and spreadsheets write (6.2e+20, 1_000, 0x1f, 1.234,5 and a loss alone, ($1,200)).

    Args:
        text: an answer, or all that a model wrote. After `###` (or `####`) the first number
            counts; without that mark, the last.

    Returns:
        The number, or None if there is none.
    """
    _, mark, answer = text.rpartition(ANSWER_MARK)
    found = numbers_of_answer(answer)
    return found[0 if mark else -1] if found else None

"""Looking inside thoughts: the words each one decodes to, and the answer it would lead to by now.

A thought is the vector fed back at a placeholder; thought 1 is the hidden state at `<bot>`. It is
read through the language-model head, softmax(W h). That is a probe, not a prediction: inside latent
mode nothing trains softmax(W h) to be one (Hao et al. 2024, sections 3 and 5). So every mass here
comes with its control: what a uniform distribution over the nodes of the graph would give.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.stages_and_masks import IGNORED, Curriculum, Example
from coconut_lab.curriculum.tokenizer import ANSWER_MARK, thought_tokens
from coconut_lab.inference.states_and_answers import last_states
from coconut_lab.model.coconut import Coconut
from coconut_lab.tasks.notation import is_symbolic, read_statement
from coconut_lab.tasks.problems import Graph, Problem, ProblemError


class Word(NamedTuple):
    """One token of the vocabulary, with the probability that a thought gives it."""

    text: str  # decoded
    probability: float  # 0 to 1
    node: int | None  # whose name this is, or starts with


@dataclass(frozen=True)
class ThoughtReading:
    """One thought, read through the language-model head, with masses and their controls."""

    number: int  # k: it is fed back at the k-th placeholder
    hop: int  # which frontier it can hold: k, or k/c rounded up with c thoughts per step
    nodes: tuple[float, ...]  # the probability of each node's name; they sum to at most 1
    words: tuple[Word, ...]  # the most probable tokens of the whole vocabulary, best first
    frontier: float  # mass on the nodes exactly `hop` hops from the root
    paths: float  # mass on the nodes of shortest paths from root to target
    uniform_frontier: float  # the same two, were all nodes of the graph equally probable
    uniform_paths: float


@dataclass(frozen=True)
class ForcedAnswer:
    """What a model would answer if it had to after some number of thoughts."""

    thoughts: int  # the rest of its thinking is cut by `<eot>`
    target: float  # probability of the right option as the next name after `###`
    distractor: float  # probability of the wrong option there


@dataclass(frozen=True)
class Reading:
    """All there is to see of one problem in one model."""

    problem: Problem
    thoughts: tuple[ThoughtReading, ...]  # thought 1, 2, … n
    answers: tuple[ForcedAnswer, ...]  # after 0, 1, … n thoughts


@dataclass(frozen=True)
class FrontierMass:
    """How much of a thought's probability lies on the frontier, as a mean over problems."""

    number: int  # which thought, from 1
    hop: int  # its frontier
    mass: float  # mean probability on the nodes of that frontier
    uniform: float  # the same for a uniform distribution over each graph's nodes: the control
    problems: int  # how many have a path of at least that many hops; the others do not count


def probe(
    model: Coconut,
    tokenizer: Any,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    *,
    top: int = 5,
    batch_size: int = 256,
) -> list[Reading]:
    """Read every thought of every problem, and the answer after each number of thoughts.

    Args:
        model: the model, in evaluation mode.
        tokenizer: its tokenizer.
        problems: problems with a graph.
        curriculum: how the model was trained; every problem gets max_stage · c thoughts.
        top: how many words to keep of each thought.
        batch_size: how many rows go through the model at once.

    Returns:
        One `Reading` per problem.

    Raises:
        ProblemError: a problem without a graph, or with a word that the tokenizer does not know.
        ModelError: more positions than the model has.
        ValueError: a method without thoughts, such as CoT.
    """
    thoughts = read_thoughts(model, tokenizer, problems, curriculum, top=top, batch_size=batch_size)
    answers = forced_answers(model, tokenizer, problems, curriculum, batch_size=batch_size)
    return [Reading(*parts) for parts in zip(problems, thoughts, answers, strict=True)]


@torch.no_grad()
def read_thoughts(
    model: Coconut,
    tokenizer: Any,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    *,
    top: int = 5,
    batch_size: int = 256,
) -> list[tuple[ThoughtReading, ...]]:
    """Decode thoughts 1 to n of each problem through the language-model head, as for `probe`.

    A name of several tokens is read by its first one; names that share it share its probability.
    """
    count = _max_thoughts(curriculum)
    prompts = _prompts(problems, tokenizer, curriculum, count)
    if not count:
        return [()] * len(problems)
    read, left = [], iter(problems)
    for states in last_states(model, prompts, count + 2, batch_size):
        thoughts = states[:, :count]  # (b, n, d), at the columns before the placeholders
        tables = model.head(thoughts).float().softmax(-1).cpu()  # (b, n, V)
        for table, problem in zip(tables, left, strict=False):
            read.append(_read_rows(problem, table, tokenizer, curriculum.thoughts_per_step, top))
    return read


@torch.no_grad()
def forced_answers(
    model: Coconut,
    tokenizer: Any,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    *,
    batch_size: int = 256,
) -> list[tuple[ForcedAnswer, ...]]:
    """Cut the thinking short after 0, 1, … n thoughts and see which option the model leans to.

    After `<eot>` comes `###` ("### Tom is a" in English), then the probability of each option as
    the next name: the product over its tokens. Interpolation as in section 5 of the paper.
    """
    budgets = range(_max_thoughts(curriculum) + 1)
    found: list[tuple[ForcedAnswer, ...]] = []
    size = max(1, batch_size // (2 * len(budgets)))
    for start in range(0, len(problems), size):
        part = problems[start : start + size]
        examples = []
        for problem in part:
            forced, *options = _answer_tokens(problem, tokenizer)
            for budget in budgets:
                (prompt,) = _prompts([problem], tokenizer, curriculum, budget)
                masked = prompt + forced
                examples += [
                    Example(masked + name, [IGNORED] * len(masked) + name) for name in options
                ]
        batch = {n: value.to(model.device) for n, value in collate(examples, tokenizer).items()}
        probabilities = row_probabilities(model, batch).view(len(part), len(budgets), 2)
        found += [
            tuple(ForcedAnswer(k, *pair) for k, pair in zip(budgets, table, strict=True))
            for table in probabilities.tolist()
        ]
    return found


def frontier_mass(
    model: Coconut,
    tokenizer: Any,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    *,
    batch_size: int = 256,
) -> list[FrontierMass]:
    """Average the frontier mass of each thought over problems, beside its control.

    Only problems whose target is at least as many hops away count for a thought: past its target
    a problem has nothing left to search. Takes and raises what `probe` does; gives one
    `FrontierMass` per thought that any problem counts for.
    """
    read = read_thoughts(model, tokenizer, problems, curriculum, top=0, batch_size=batch_size)
    found = []
    for column in zip(*read, strict=True):
        counted = [
            thought
            for thought, problem in zip(column, problems, strict=True)
            if _graph(problem).hops >= thought.hop
        ]
        if counted:
            n, first = len(counted), counted[0]
            mass = sum(thought.frontier for thought in counted) / n
            uniform = sum(thought.uniform_frontier for thought in counted) / n
            found.append(FrontierMass(first.number, first.hop, mass, uniform, n))
    return found


def on_shortest_paths(graph: Graph) -> frozenset[int]:
    """Find the nodes of all shortest paths from root to target, both ends included."""
    down = enumerate(graph.distances(graph.root))
    on_way = (
        node
        for node, hops in down
        if hops is not None and graph.distances(node)[graph.target] == graph.hops - hops
    )
    return frozenset(on_way)


def _graph(problem: Problem) -> Graph:
    if problem.graph is None:
        raise ProblemError(
            f"only a problem with a graph can be probed; this has none: {problem.question[:60]!r}"
        )
    return problem.graph


def _max_thoughts(curriculum: Curriculum) -> int:
    if curriculum.rule.stand_in != "thoughts":
        raise ValueError(f"the method {curriculum.method!r} has no thoughts to look into")
    return curriculum.max_stage * curriculum.thoughts_per_step


def _prompts(
    problems: Sequence[Problem], tokenizer: Any, curriculum: Curriculum, thoughts: int
) -> list[list[int]]:
    """Prompts of stage 0, question `<bot> <eot>`, with that many placeholders put between."""
    placeholder = thought_tokens(tokenizer).thought
    prompts = []
    for problem in problems:
        _graph(problem)
        *head, eot = curriculum.prompt(problem, tokenizer, 0)
        prompts.append([*head, *[placeholder] * thoughts, eot])
    return prompts


def _read_rows(
    problem: Problem, table: Tensor, tokenizer: Any, per_step: int, top: int
) -> tuple[ThoughtReading, ...]:
    """Read one problem's thoughts from the probabilities (n, V) of its vocabulary."""
    graph = _graph(problem)
    firsts = [ids[0] for ids in _name_tokens(ANSWER_MARK, graph.names, tokenizer)]
    shared = torch.tensor([firsts.count(token) for token in firsts])
    by_token = {token: node for node, token in reversed(list(enumerate(firsts)))}
    nodes = (table[:, firsts] / shared).tolist()  # (n, nodes)
    best = table.topk(min(top, table.shape[1]))
    paths = on_shortest_paths(graph)
    readings = []
    for number, (row, *found) in enumerate(zip(nodes, *map(Tensor.tolist, best), strict=True), 1):
        hop = (number - 1) // per_step + 1
        frontier = graph.frontier(hop)
        words = (
            Word(tokenizer.decode([token]).strip(), probability, by_token.get(token))
            for probability, token in zip(*found, strict=True)
        )
        masses = (math.fsum(row[node] for node in chosen) for chosen in (frontier, paths))
        uniform = (len(chosen) / len(graph.names) for chosen in (frontier, paths))
        readings.append(ThoughtReading(number, hop, tuple(row), tuple(words), *masses, *uniform))
    return tuple(readings)


def _name_tokens(before: str, names: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Tokenize names as they are after `before` in a text."""
    texts = [before, *(f"{before} {name}" for name in names)]
    head, *whole = tokenizer(texts, add_special_tokens=False).input_ids
    return [ids[len(head) :] for ids in whole]


def _answer_tokens(problem: Problem, tokenizer: Any) -> tuple[list[int], list[int], list[int]]:
    """Token ids of what is forced before the answer's name, of the target and the distractor."""
    graph = _graph(problem)
    forced = ANSWER_MARK
    if not is_symbolic(problem.question):
        forced += f" {read_statement(problem.question).asked} is a"
    options = (graph.names[graph.target], graph.names[graph.distractor])
    target, distractor = _name_tokens(forced, options, tokenizer)
    return tokenizer(forced, add_special_tokens=False).input_ids, target, distractor


def row_probabilities(model: Coconut, batch: dict[str, Tensor]) -> Tensor:
    """Multiply the probabilities of the labelled tokens of each row: (B,)."""
    output = model(**batch)
    assert output.labelled is not None
    row, column = output.labelled.nonzero(as_tuple=True)  # (M,), in row order as the logits
    logs = output.logits.float().log_softmax(-1)  # (M, V)
    chosen = logs.gather(1, batch["labels"][row, column + 1, None])[:, 0]
    return chosen.new_zeros(len(batch["labels"])).index_add(0, row, chosen).exp().cpu()
